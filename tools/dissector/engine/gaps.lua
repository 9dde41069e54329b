-- Which octets of a connection the capture lacks, by TCP's sequence numbers. Knows no frame, no state and no Wireshark.
--
-- A direction has: done (the sequence number after its last octet that was followed), seen (after the last one that came
-- or was acknowledged), told (the end of a hole that an acknowledgement has shown), synced (whether a line begins at
-- `done`). nil is unknown. Sequence numbers are modulo 2^32.

local SPACE = 2^32

-- How far a sequence number is ahead of another one; negative where it is behind.
local function ahead(number, other)
  local distance = (number - other) % SPACE
  return distance < SPACE / 2 and distance or distance - SPACE
end

-- Both directions of a connection; `first` is the number of their first octets if the capture has the beginning.
local function directions(first)
  local function direction() return {done = first, seen = first, synced = first ~= nil} end
  return {client = direction(), server = direction()}
end

local function note_seen(direction, number)
  if not direction.seen or ahead(number, direction.seen) > 0 then direction.seen = number end
end

-- Takes note of a segment of one side: number and octets (as in TCP's header), ack, ended (whether one side has sent its
-- FIN, which is acknowledged like an octet), and what of it is to be followed now: length, whole (it is put together from
-- several segments, and continues what was done). Returns the number of its first octet, how many of its octets
-- were followed before, and the sides of which octets are missing.
local function arrive(directions, side, segment)
  local own, other_side = directions[side], side == "client" and "server" or "client"
  local last = segment.number + segment.octets
  local first = segment.whole and own.done or last - segment.length
  local lost, other = {}, directions[other_side]
  local distance = own.done and ahead(first, own.done) or 0
  if distance > 0 then
    if first ~= own.told then lost[#lost + 1] = side end -- else it is the hole that was told, and nothing more
    own.synced, own.done = false, nil
  end
  local unseen = other.seen and ahead(segment.ack, other.seen) or 0
  if unseen > 1 or unseen == 1 and not segment.ended then
    lost[#lost + 1] = other_side
    other.told = segment.ack
  end
  note_seen(other, segment.ack)
  note_seen(own, last)
  note_seen(own, first + segment.length)
  return first, math.max(0, -distance), lost
end

return {directions = directions, arrive = arrive}
