-- The dissector: cuts the octets of TCP into frames; the other parts read, follow and show them. What is found when a
-- packet is seen first is kept by packet, call and frame, and shown when the packet is seen again.

local spec, gaps, frames, recognition, connections, requests, replies, showing = ...

local proto = showing.proto

-- What is kept grows with the capture, and the garbage collector would search it again and again.
pcall(collectgarbage, "setpause", 400)

local tcp_stream = Field.new("tcp.stream")
local tcp_completeness = Field.new("tcp.completeness")
local tcp_position = Field.new("tcp.seq")
local tcp_octets = Field.new("tcp.len")
local tcp_acknowledged = Field.new("tcp.ack")
local tcp_fin = Field.new("tcp.flags.fin")

-- The innermost value, if a packet has TCP inside TCP.
local function last_value(...)
  local count = select("#", ...)
  if count > 0 then return (select(count, ...)).value end
end

local function value_of(field)
  return last_value(field())
end

-- Connections --------------------------------------------------------------------------------------------------------

local streams = {} -- those of the protocol
local candidates = {} -- those that nothing has been found out of, or that are foreign
local calls = {} -- packet → the records of its first call; they lead to those of its others
local latest = 0 -- the last packet that was followed
local myself -- this dissector, which Wireshark knows once the script is loaded
local servers = {} -- addresses with ports: those of the preference, and those that were recognised
local named = {} -- those of the preference
local ports = DissectorTable.get("tcp.port")

function proto.init()
  streams, candidates, calls, latest, servers = {}, {}, {}, 0, {}
  for server in pairs(named) do
    servers[server] = true
  end
  myself = Dissector.get(spec.protocol)
  connections.reset()
end

local SYN, FIN = 1, 16 -- in tcp.completeness

-- Whether the capture has the connection from its SYN on, and these octets are its first.
local function from_the_start(tvb)
  -- what is reassembled ends in the segment
  local last, octets = value_of(tcp_position) + value_of(tcp_octets), tvb:reported_len()
  local most = tvb:offset() == 0 and value_of(tcp_octets) or 1
  return value_of(tcp_completeness) % 2 == SYN and last - octets >= 1 and last - octets <= most
end

-- A line without the CR of its ending, and whether it had one.
local function bare(line)
  if spec.accepts_crlf and line:byte(-1) == 13 then return line:sub(1, -2), true end
  return line, false
end

-- Whether the port is one of the preference, or of `Decode As`.
local function is_ours(port)
  return tostring(ports:get_dissector(port)) == tostring(myself)
end

-- The two ends of a packet: address and port.
local function ends_of(pinfo)
  return tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
end

-- Whether `read` finds no fault in any complete line.
local function all_right(octets, read)
  local found = false
  for line in octets:gmatch("([^\n]*)\n") do
    local frame = read(bare(line))
    if frame.fault or not frame.form then return false end
    found = true
  end
  return found
end

-- Whether the client sent these octets: by the server's address and port if they are known, else by the frames, else by
-- the port numbers, since servers have the lower ones.
local function sent_by_client(pinfo, octets)
  local source, target = ends_of(pinfo)
  if servers[source] ~= servers[target] then return servers[target] ~= nil end
  local from_ours, to_ours = is_ours(pinfo.src_port), is_ours(pinfo.dst_port)
  if from_ours ~= to_ours then return to_ours end
  local requests, replies = all_right(octets, frames.request), all_right(octets, frames.reply)
  if requests ~= replies then return requests end
  return pinfo.dst_port <= pinfo.src_port
end

local function connect(pinfo, stream, by_client, started)
  local address, port = tostring(pinfo.dst), pinfo.dst_port
  if not by_client then address, port = tostring(pinfo.src), pinfo.src_port end
  local conn = connections.connection(address .. " " .. port, stream, started)
  conn.address, conn.port = address, port
  conn.client_port = by_client and pinfo.src_port or pinfo.dst_port
  conn.directions = gaps.directions(started and 1 or nil) -- Wireshark's relative numbers begin with 1
  streams[stream] = conn
  return conn
end

local function is_client(conn, pinfo)
  if pinfo.src_port ~= pinfo.dst_port then return pinfo.src_port ~= conn.port end
  return tostring(pinfo.src) ~= conn.address
end

-- What `gaps.lua` asks of a segment.
local function segment_of(tvb)
  return {
    number = value_of(tcp_position), octets = value_of(tcp_octets), ack = value_of(tcp_acknowledged),
    ended = math.floor(value_of(tcp_completeness) / FIN) % 2 == 1,
    length = tvb:reported_len(), captured = tvb:len(), whole = tvb:offset() == 0,
  }
end

-- What has come of a segment: the number of its first octet, and how many of its octets are a repetition. Where octets
-- before it are missing, the connection becomes unknown.
local function place(conn, side, segment)
  local first, repeated, lost = gaps.arrive(conn.directions, side, segment)
  for _, each in ipairs(lost) do
    connections.lost(conn, each)
  end
  return first, repeated
end

-- The frames of a segment are followed; what was not recorded of it comes next.
local function leave(conn, side, segment, done)
  conn.directions[side].done = done
  if segment.captured < segment.length then
    conn.directions[side].synced = false
    connections.lost(conn, side)
  end
end

-- Frames -------------------------------------------------------------------------------------------------------------

-- The next frame in `octets` from `first` on: its last octet, and whether it is whole, long (too long) or partial.
local function cut(octets, first)
  local ending = octets:find("\n", first, true)
  local most = first + spec.max_octets - 1
  if ending and ending <= most then return ending, "whole" end
  if ending then return ending, "long" end
  return #octets, #octets >= most and "long" or "partial"
end

-- A record for octets that are no frame of the spec: a part of one, or too long.
local nothing = {verb = "", kind = "unknown", values = {}, spans = {}}

local read = {client = frames.request, server = frames.reply}
local follow = {client = requests.follow, server = replies.follow}

-- The record of a frame that is seen for the first time, and the frame.
local function first_pass(conn, side, piece, pinfo)
  local line, what = piece.line, piece.what
  local record = {number = pinfo.number, time = pinfo.rel_ts}
  local stretch = conn.directions[side]
  local continues = stretch.long
  stretch.long = what == "long" and piece.octets == #line or nil
  local frame = what == "whole" and not continues and read[side](line) or nil
  if frame and (stretch.synced or not frame.fault and frame.form) then
    follow[side](conn, frame, record, stretch.synced)
    if side == "server" and piece.crlf ~= spec.writes_crlf and not frame.fault then
      local why = piece.crlf and "it is CRLF" or "it is LF alone"
      connections.violation(record, "wrong-ending", side, why, spec.ending_rule)
    end
  elseif what == "long" and side == "client" and not continues and stretch.synced then
    requests.too_long(conn, record)
  else
    record.before, record.after = conn.view, conn.view
    record.kind = conn.silenced and side == "client" and "discarded" or "fragment"
    if what == "long" and not continues and stretch.synced then
      connections.violation(record, spec.too_long, side, spec.max_octets .. " octets without an ending", spec.length_rule)
    end
  end
  stretch.synced = what == "whole" or stretch.synced and what == "partial"
  return record, frame or nothing
end

-- Dissection ---------------------------------------------------------------------------------------------------------
-- tshark -2 without a filter has no fields of TCP on its first pass. Then frames are only cut, so that TCP reassembles
-- them; the rest is done on the second pass, which is in order too.

-- The records of the frames of this call: a new list on the first pass, nil if that was missed. A call is known by the
-- place and its first line; the number of its octets differs between the passes.
local function records_of(pinfo, tvb)
  local number, offset, line = pinfo.number, tvb:offset(), tvb:raw(0, tvb:len()):match("^[^\n]*")
  local records, others = calls[number], nil
  while records and not (records.offset == offset and records.line == line) do
    records, others = records.others, records
  end
  if records or number < latest then return records, false end
  latest = number
  return {offset = offset, line = line, repeated = 0}, true, others
end

-- Keeps the new records of a call after the `others` of its packet.
local function keep(pinfo, records, others)
  if others then others.others = records else calls[pinfo.number] = records end
end

-- Whether to wait for the rest of a frame.
local function wait_for_rest(pinfo, tvb, first)
  if pinfo.can_desegment == 0 or tvb:len() < tvb:reported_len() or value_of(tcp_fin) then return false end
  pinfo.desegment_offset = first - 1
  pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
  return true
end

-- The frames of a segment behind its repeated octets: {line, crlf, what, offset, octets}, and how many octets were taken.
-- Asks TCP for what is missing at the end, if that may be waited for.
local function pieces_of(tvb, pinfo, repeated, may_wait)
  local octets, pieces = tvb:raw(0, tvb:len()), {}
  local first = repeated + 1
  while first <= #octets do
    local last, what = cut(octets, first)
    local waits = what == "partial" and (not may_wait or may_wait(octets:sub(first)))
    if waits and wait_for_rest(pinfo, tvb, first) then break end
    local line, crlf = octets:sub(first, last), false
    if octets:byte(last) == 10 then line, crlf = bare(line:sub(1, -2)) end
    pieces[#pieces + 1] = {line = line, crlf = crlf, what = what, offset = first - 1, octets = last - first + 1}
    first = last + 1
  end
  return pieces, first - 1
end

local function dissect(tvb, pinfo, tree, conn)
  local records, is_new, others = records_of(pinfo, tvb)
  local side, segment, begun = is_client(conn, pinfo) and "client" or "server", nil, nil
  if is_new then
    keep(pinfo, records, others)
    segment = segment_of(tvb)
    begun, records.repeated = place(conn, side, segment)
  end
  local pieces, taken = pieces_of(tvb, pinfo, records and records.repeated or 0)
  if not records then return end
  local looked_at, words, who = tree:referenced(myself), {}, nil
  for index, piece in ipairs(pieces) do
    local record, frame = records[index], nothing
    if is_new then
      record, frame = first_pass(conn, side, piece, pinfo)
      records[index] = record
    elseif piece.what == "whole" then
      frame = read[side](piece.line)
    end
    if not record then break end
    who, words[index] = showing.label(piece.line, frame, record, side, conn)
    if looked_at or showing.is_notable(frame, record) then
      local range = tvb(piece.offset, piece.octets)
      local item = tree:add(proto, range, spec.title .. ", " .. who .. words[index])
      showing.show(item, range, piece.line, frame, record, side)
    end
  end
  if is_new then leave(conn, side, segment, begun + taken) end
  if who then showing.set_columns(pinfo, who, words) end
end

local function looks_like_tls(octets) -- the beginning of a record, RFC 8446, section 5.1
  return octets:find("^[\20-\23]\3[\0-\4]") ~= nil
end

-- What comes here is of the protocol, if it is no TLS. Returns its octets.
local function take(tvb, pinfo, tree)
  local octets, stream = tvb:raw(0, tvb:len()), value_of(tcp_stream)
  if octets == "" then return 0 end
  local conn = streams[stream]
  if not conn and looks_like_tls(octets) then return 0 end
  if not stream then
    pieces_of(tvb, pinfo, 0)
    return tvb:len()
  end
  conn = conn or connect(pinfo, stream, sent_by_client(pinfo, octets), from_the_start(tvb))
  dissect(tvb, pinfo, tree, conn)
  return tvb:len()
end

proto.dissector = take -- for the ports of the preference and of `Decode As`

-- Recognition --------------------------------------------------------------------------------------------------------
-- What may be ours is held: nobody else gets it, and nothing is shown of it until the connection is recognised. Then what
-- was held is followed, and is shown when its packets are seen again.

local function hold(found, pinfo, tvb, pieces, taken, records)
  found.held[#found.held + 1] = {
    number = pinfo.number, rel_ts = pinfo.rel_ts, source = ends_of(pinfo), segment = segment_of(tvb),
    pieces = pieces, taken = taken, records = records,
  }
end

-- The connection of a candidate that was recognised.
local function recognised(found, pinfo, stream, server)
  local source = ends_of(pinfo)
  local conn = connect(pinfo, stream, source ~= server, found.started)
  servers[server] = true
  for _, call in ipairs(found.held) do
    local side = call.source == server and "server" or "client"
    local begun, repeated = place(conn, side, call.segment)
    for index, piece in ipairs(call.pieces) do
      if piece.offset >= repeated then call.records[index] = first_pass(conn, side, piece, call) end
    end
    leave(conn, side, call.segment, begun + call.taken)
  end
  candidates[stream] = nil
  return conn
end

-- Whether these octets of a candidate belong to the protocol, or may do so, and the connection if it is recognised.
local function look(found, tvb, pinfo, stream)
  local source, target = ends_of(pinfo)
  local server = servers[target] and target or servers[source] and source
  if server then return true, recognised(found, pinfo, stream, server) end
  local pieces, taken = pieces_of(tvb, pinfo, 0, recognition.may_begin)
  if #pieces == 0 then return true end
  local records, is_new, others = records_of(pinfo, tvb)
  if not is_new then return false end
  local verdict
  verdict, server = recognition.judge(found, source, target, pieces)
  if verdict == "ours" then
    return true, recognised(found, pinfo, stream, server)
  elseif verdict == "perhaps" then
    keep(pinfo, records, others)
    hold(found, pinfo, tvb, pieces, taken, records)
    return true
  end
  found.foreign, found.started = verdict == "foreign", false
  if found.foreign then found.held = {} end
  return false
end

proto:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() == 0 then return false end
  local stream = value_of(tcp_stream)
  local mine = streams[stream] ~= nil or is_ours(pinfo.src_port) or is_ours(pinfo.dst_port)
  if not mine and stream then
    local found = candidates[stream] or recognition.candidate(from_the_start(tvb))
    found.held = found.held or {}
    candidates[stream] = found
    local may_be = not found.foreign and look(found, tvb, pinfo, stream)
    mine = streams[stream] ~= nil
    if not mine then
      if not may_be then pinfo.desegment_offset, pinfo.desegment_len = 0, 0 end
      return may_be
    end
    pinfo.conversation = proto
  elseif not mine then
    local pieces = pieces_of(tvb, pinfo, 0, recognition.may_begin)
    return #pieces == 0 or recognition.judge(recognition.candidate(false), 1, 2, pieces) ~= "unlike"
  end
  return take(tvb, pinfo, tree) > 0 -- `proto.dissector` would be one layer more, which may not ask for the rest
end)

-- Preferences --------------------------------------------------------------------------------------------------------

local taken = tostring(spec.port)
proto.prefs.ports = Pref.range("TCP ports", taken, "The ports of servers; others are recognised by what is said", 65535)
proto.prefs.servers = Pref.string("Servers", "", "Servers at other ports: 192.0.2.1:80, [2001:db8::1]:80")
ports:add(taken, proto)

function proto.prefs_changed()
  local wanted = tostring(proto.prefs.ports)
  if wanted ~= taken then
    if taken ~= "" then ports:remove(taken, proto) end
    if wanted ~= "" then ports:add(wanted, proto) end
    taken = wanted
  end
  named = {}
  for address, port in proto.prefs.servers:gmatch("%[?([%x.:]+)%]?:(%d+)") do
    named[address .. " " .. port] = true
  end
end
