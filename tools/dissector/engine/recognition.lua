-- Whose connection it is, by what its two ends say. Knows frames; knows no state, no port and no Wireshark.
--
-- Many protocols have a line such as `PING word`. A connection is ours from the first frame on that only this protocol
-- has: one with two words that the spec fixes. Until then it may be ours as long as one of its ends has said nothing but
-- what our server says; when neither has, it is foreign for good. What our client says proves nothing against it: it may
-- be wrong, and is answered.

local spec, frames = ...

local MOST = 1048576 -- octets after which a connection without such a frame is foreign

-- A connection of which nothing is known yet. `started`: its first octets are in the capture.
local function candidate(started)
  return {started = started, met = {}, no_server = {}, octets = 0}
end

-- How many words of a frame the spec fixes: those of the form, words of a closed list, codes, and verbs of requests.
local function fixed_words(frame)
  local form, count = frame.form, 0
  for _, part in ipairs(form.parts) do
    local value = part.name and frame.values[part.name]
    if not part.name or spec.types[part.type].closed
        or part.name == form.code and (spec.errors[value] or spec.goodbyes[value])
        or part.name == form.about and spec.requests[value] then
      count = count + 1
    end
  end
  return count
end

local first_words = {}
for _, words in ipairs({spec.requests, spec.replies}) do
  for word in pairs(words) do
    first_words[#first_words + 1] = word
  end
end

-- Whether octets without an ending may be the beginning of a frame.
local function may_begin(octets)
  local word = frames.request_verb(octets)
  for _, known in ipairs(first_words) do
    if #word < #octets and known == word or #word == #octets and known:sub(1, #word) == word then return true end
  end
  return false
end

-- Whether all pieces are what one side says, how many frames of it there are, and whether one of them is ours alone. The
-- first piece counts only if it is right where it may be the rest of a frame.
local function fits(pieces, read, in_midst)
  local count, ours = 0, false
  for index, piece in ipairs(pieces) do
    local frame = piece.what == "whole" and read(piece.line)
    if frame and frame.form and not frame.fault then
      count, ours = count + 1, ours or fixed_words(frame) >= 2
    elseif not (in_midst and index == 1 or piece.what == "partial" and may_begin(piece.line)) then
      return false, 0, false
    end
  end
  return true, count, ours
end

-- What the pieces that `speaker` sends to `listener` show: `ours` and which of them is the server, `perhaps`, `unlike`
-- (none of our frames; it may still be ours), or `foreign`.
local function judge(found, speaker, listener, pieces)
  local in_midst = not found.started and not found.met[speaker]
  found.met[speaker] = true
  local as_server, told, by_server = fits(pieces, frames.reply, in_midst)
  local as_client, asked, by_client = fits(pieces, frames.request, in_midst)
  for _, piece in ipairs(pieces) do
    found.octets = found.octets + piece.octets
  end
  found.no_server[speaker] = found.no_server[speaker] or not as_server
  if found.no_server[speaker] and found.no_server[listener] or found.octets > MOST then return "foreign" end
  if by_server and not found.no_server[speaker] then return "ours", speaker end
  if by_client and not found.no_server[listener] then return "ours", listener end
  if told > 0 and not found.no_server[speaker] or asked > 0 and as_client then return "perhaps" end
  return "unlike"
end

return {candidate = candidate, judge = judge, may_begin = may_begin}
