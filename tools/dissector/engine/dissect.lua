-- The dissector: cuts the octets of TCP into frames; the other parts read, follow and show them. What is found when a
-- packet is seen first is kept by packet, call and frame, and shown when the packet is seen again.

local spec, gaps, frames, connections, requests, replies, showing = ...

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

local streams = {}
local calls = {} -- packet → the records of its first call; they lead to those of its others
local latest = 0 -- the last packet that was followed
local myself -- this dissector, which Wireshark knows once the script is loaded
local servers = {} -- addresses with ports where the protocol was recognised
local begun = {} -- the pairs of ends that have sent data, where TCP's fields are missing

function proto.init()
  streams, calls, latest, servers, begun = {}, {}, 0, {}, {}
  myself = Dissector.get(spec.protocol)
  connections.reset()
end

local SYN, FIN = 1, 16 -- in tcp.completeness
local EPHEMERAL = 32768 -- the least port that systems give to clients (Linux; RFC 6335 has 49152)

-- Whether the capture has the connection from its SYN on, and these octets are its first. Without the fields of TCP:
-- whether these ends have sent nothing before.
local function from_the_start(pinfo, tvb)
  local completeness = value_of(tcp_completeness)
  if completeness then -- what is reassembled ends in the segment
    local last, octets = value_of(tcp_position) + value_of(tcp_octets), tvb:reported_len()
    local most = tvb:offset() == 0 and value_of(tcp_octets) or 1
    return completeness % 2 == SYN and last - octets >= 1 and last - octets <= most
  end
  local ends = {tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port}
  table.sort(ends)
  local key = table.concat(ends, " ")
  local first = not begun[key]
  begun[key] = true
  return first
end

-- A line without the CR of its ending, and whether it had one.
local function bare(line)
  if spec.accepts_crlf and line:byte(-1) == 13 then return line:sub(1, -2), true end
  return line, false
end

-- Whether `read` finds no fault in any complete line, and how many fields they have.
local function all_right(octets, read)
  local fields
  for line in octets:gmatch("([^\n]*)\n") do
    local frame = read(bare(line))
    if frame.fault or not frame.form then return false, 0 end
    fields = (fields or 0) + #frame.spans
  end
  return fields ~= nil, fields or 0
end

-- Whether the client sent these octets: by the server's port if it is known, else by the frames, else by the port
-- numbers, since servers have the lower ones.
local function sent_by_client(pinfo, octets)
  local port = pinfo.match_uint
  if pinfo.src_port ~= pinfo.dst_port and (port == pinfo.dst_port or port == pinfo.src_port) then
    return port == pinfo.dst_port
  end
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
  conn.directions = gaps.directions(started and value_of(tcp_position) and 1 or nil) -- relative numbers begin with 1
  streams[stream] = conn
  return conn
end

local function is_client(conn, pinfo)
  if pinfo.src_port ~= pinfo.dst_port then return pinfo.src_port ~= conn.port end
  return tostring(pinfo.src) ~= conn.address
end

-- What has come of a segment when it is seen first: the number of its first octet, and how many of its octets are a
-- repetition. What the capture lacks before it makes the connection unknown.
local function place(conn, side, pinfo, tvb)
  local first, repeated, lost = gaps.arrive(conn.directions, side, {
    number = value_of(tcp_position), octets = value_of(tcp_octets), ack = value_of(tcp_acknowledged),
    ended = math.floor((value_of(tcp_completeness) or 0) / FIN) % 2 == 1,
    length = tvb:reported_len(), whole = tvb:offset() == 0,
  })
  for _, each in ipairs(lost) do
    connections.lost(conn, each)
  end
  return first, repeated
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
-- place and its first line; the number of octets differs between the passes.
local function records_of(pinfo, tvb, octets)
  local number, offset, line = pinfo.number, tvb:offset(), octets:match("^[^\n]*")
  local records, others = calls[number], nil
  while records and not (records.offset == offset and records.line == line) do
    records, others = records.others, records
  end
  if records or number < latest then return records, false end
  records, latest = {offset = offset, line = line, repeated = 0}, number
  if others then others.others = records else calls[number] = records end
  return records, true
end

-- Whether to wait for the rest of a frame.
local function wait_for_rest(pinfo, tvb, first)
  if pinfo.can_desegment == 0 or tvb:len() < tvb:reported_len() or value_of(tcp_fin) then return false end
  pinfo.desegment_offset = first - 1
  pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
  return true
end

-- The frames of a segment from the octet `first` on: {line, crlf, what, offset, octets}, and how many octets were taken.
-- Asks TCP for what is missing at the end.
local function pieces_of(tvb, octets, pinfo, first)
  local pieces = {}
  while first <= #octets do
    local last, what = cut(octets, first)
    if what == "partial" and wait_for_rest(pinfo, tvb, first) then break end
    local line, crlf = octets:sub(first, last), false
    if octets:byte(last) == 10 then line, crlf = bare(line:sub(1, -2)) end
    pieces[#pieces + 1] = {line = line, crlf = crlf, what = what, offset = first - 1, octets = last - first + 1}
    first = last + 1
  end
  return pieces, first - 1
end

local function dissect(tvb, pinfo, tree, conn)
  local octets = tvb:raw(0, tvb:len())
  local records, is_new = records_of(pinfo, tvb, octets)
  if not records then
    pieces_of(tvb, octets, pinfo, 1)
    return
  end
  local side = is_client(conn, pinfo) and "client" or "server"
  local direction, begun = conn.directions[side], nil
  if is_new then begun, records.repeated = place(conn, side, pinfo, tvb) end
  local pieces, taken = pieces_of(tvb, octets, pinfo, records.repeated + 1)
  if is_new and taken >= records.repeated then direction.done = begun + taken end
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
  if is_new and tvb:len() < tvb:reported_len() then -- the rest was not recorded
    connections.lost(conn, side)
    direction.synced = false
  end
  if who then showing.set_columns(pinfo, who, words) end
end

function proto.dissector(tvb, pinfo, tree)
  if tvb:len() == 0 then return 0 end
  local stream = value_of(tcp_stream)
  if not stream then
    pieces_of(tvb, tvb:raw(0, tvb:len()), pinfo, 1)
    return tvb:len()
  end
  local conn = streams[stream]
    or connect(pinfo, stream, sent_by_client(pinfo, tvb:raw(0, tvb:len())), from_the_start(pinfo, tvb))
  dissect(tvb, pinfo, tree, conn)
  return tvb:len()
end

-- Recognises the protocol on any port: all lines of the segment must be frames of one side, without a fault. A
-- connection begins with a frame that a client may send first, unless a server may send it too and this port is none
-- that systems give to clients; frames of the server, and later frames, must have a field. A server that was recognised
-- at the beginning of a connection is known from then on. Returns the side or nil, and whether a connection begins here.
local function recognise(pinfo, tvb)
  local source, target = tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
  local octets, started = tvb:raw(0, tvb:len()), from_the_start(pinfo, tvb)
  if servers[target] then return "client", target, started end
  if servers[source] then return "server", source, started end
  local requests, request_fields = all_right(octets, frames.request)
  local replies, reply_fields = all_right(octets, frames.reply)
  if requests and started and spec.rows[spec.initial][frames.request_verb(bare(octets:match("^[^\n]*")))] then
    if replies and pinfo.src_port < EPHEMERAL and pinfo.dst_port >= EPHEMERAL then return "server", source, true end
    return "client", target, true
  end
  local by_client, by_server = request_fields > 0, reply_fields > 0
  if by_client and by_server then by_client = pinfo.dst_port <= pinfo.src_port end
  if by_client then return "client", target, started end
  if by_server then return "server", source, false end
end

proto:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() == 0 then return false end
  local stream = value_of(tcp_stream)
  if not (stream and streams[stream]) then
    local side, server, started = recognise(pinfo, tvb)
    if not side then return false end
    servers[server] = servers[server] or started
    if stream then connect(pinfo, stream, side == "client", started) end
  end
  pinfo.conversation = proto
  proto.dissector(tvb, pinfo, tree)
  return true
end)

-- Preferences --------------------------------------------------------------------------------------------------------

local ports = DissectorTable.get("tcp.port")
local taken = tostring(spec.port)
proto.prefs.ports = Pref.range("TCP ports", taken, "The ports of servers; others are recognised by what is said", 65535)
ports:add(taken, proto)

function proto.prefs_changed()
  local wanted = tostring(proto.prefs.ports)
  if wanted ~= taken then
    if taken ~= "" then ports:remove(taken, proto) end
    if wanted ~= "" then ports:add(wanted, proto) end
    taken = wanted
  end
end
