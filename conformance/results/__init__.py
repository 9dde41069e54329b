"""What is made of verdicts: the record of a run, its reports, and what a person sees at a terminal."""
