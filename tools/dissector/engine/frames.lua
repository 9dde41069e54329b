-- Reads one line as a frame of the spec. Knows no state, no connection and no Wireshark.
--
-- A frame is a table: kind, verb (its first word), form (the spec's row), values (by field), spans (where each field
-- is: {field, first octet, octets}), and, where something is wrong with it, fault (its name in the spec language) and
-- why (words). A request has echo: the word that the server's refusal names.

local spec, rex = ...

local NOT_ASCII = "[\128-\255]"

-- RFC 3629, section 4: no overlong form, no surrogate, nothing above U+10FFFF.
local utf8 = rex.new("\\A(?:[\\x00-\\x7f]|[\\xc2-\\xdf][\\x80-\\xbf]|\\xe0[\\xa0-\\xbf][\\x80-\\xbf]"
  .. "|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}|\\xed[\\x80-\\x9f][\\x80-\\xbf]|\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}"
  .. "|[\\xf1-\\xf3][\\x80-\\xbf]{3}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2})*+\\z")
local verb_pattern = rex.new(spec.verb)
for _, kind in pairs(spec.types) do
  kind.expression = rex.new(kind.pattern)
end

local function is_utf8(line)
  return not line:find(NOT_ASCII) or utf8:find(line) ~= nil
end

-- What is wrong with a value of a type in words, or nil.
local function breaks(kind, name, value)
  if #value < kind.least or #value > kind.most then
    return ("%s has %d octets; %d to %d are allowed"):format(name, #value, kind.least, kind.most)
  end
  if not kind.expression:find(value) then
    return ("%s must be %s"):format(name, kind.wanted)
  end
end

-- The values and the spans of a line in a form; for a line with a fault those before it, and the fault in words.
local function read(form, line)
  local values, spans, wrong = {}, {}, nil
  local first, count = 1, #form.parts
  for index, part in ipairs(form.parts) do
    local kind = part.type and spec.types[part.type]
    local space = not (kind and kind.rest) and line:find(" ", first, true)
    local last = space and space - 1 or #line
    local word = line:sub(first, last)
    if kind then
      values[part.name] = word
      spans[#spans + 1] = {part, first, #word}
      wrong = wrong or breaks(kind, part.name, word)
    elseif word ~= part and not (index == 1 and form.any_case) then
      return values, spans, ("%s must be %s"):format(word, part)
    end
    if index == count then
      if space then
        wrong = wrong or ("there is more after " .. (kind and part.name or part))
      end
    elseif not space then
      local missing = form.parts[index + 1]
      return values, spans, wrong or ((missing.name or missing) .. " is missing")
    else
      first = space + 1
    end
  end
  return values, spans, wrong
end

local function first_word(line)
  return line:match("^[^ ]*")
end

-- The verb of a request, as the spec writes it.
local function request_verb(line)
  local word = first_word(line)
  return spec.any_case and word:upper() or word
end

local function request(line)
  local verb = request_verb(line)
  local frame = {kind = "request", verb = first_word(line), values = {}, spans = {}, echo = spec.any_verb}
  if not is_utf8(line) then -- whatever its verb seems to be
    frame.fault, frame.why = "encoding", "the line is not valid UTF-8"
    return frame
  end
  frame.form = spec.requests[verb]
  if frame.form then
    frame.echo = verb
    frame.values, frame.spans, frame.why = read(frame.form, line)
    frame.fault = frame.why and "syntax"
  elseif verb_pattern:find(verb) then
    frame.fault, frame.why = "verb", "there is no request " .. verb
  else
    frame.fault, frame.why = "syntax", line == "" and "the line is empty" or "the first word cannot be a verb"
  end
  return frame
end

local function begins(line, key)
  return line:sub(1, #key) == key and (#line == #key or line:byte(#key + 1) == 32)
end

local function reply(line)
  local frame = {kind = "unknown", verb = first_word(line), values = {}, spans = {}}
  for _, form in ipairs(spec.replies[frame.verb] or {}) do
    if begins(line, form.key) then
      frame.form, frame.kind = form, form.kind
      break
    end
  end
  if not is_utf8(line) then
    frame.fault, frame.why = "encoding", "the line is not valid UTF-8"
  elseif frame.form then
    frame.values, frame.spans, frame.why = read(frame.form, line)
    frame.fault = frame.why and "syntax"
  end
  return frame
end

return {request = request, reply = reply, request_verb = request_verb}
