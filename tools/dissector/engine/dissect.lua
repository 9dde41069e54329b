-- The dissector: takes the octets of TCP, cuts them into frames, and shows what frames.lua reads and follow.lua knows.
-- The only part that knows Wireshark. What is found on the first pass is kept by frame, call and line, and shown again on
-- the later ones.

local spec, frames, follow = ...

local name = spec.protocol
local proto = Proto(name, spec.title)
local NAMES_AT_MOST = 12 -- frames of one segment in the Info column

-- Fields -------------------------------------------------------------------------------------------------------------

local function text_field(abbreviation, label, doc)
  return ProtoField.string(name .. "." .. abbreviation, label, base.UNICODE, doc)
end

local function frame_field(abbreviation, label, kind, doc)
  return ProtoField.framenum(name .. "." .. abbreviation, label, base.NONE, kind, doc)
end

local own = {
  line = text_field("line", "Line", "The frame without its ending"),
  length = ProtoField.uint32(name .. ".length", "Length", base.DEC, nil, nil, "Octets, with the ending"),
  from = text_field("from", "From", "client or server"),
  kind = text_field("kind", "Kind", "What the spec calls a frame of this kind"),
  verb = text_field("verb", "Verb", "The first word"),
  request = text_field("request", "Request", "The verb of the request that this is or answers"),
  state = text_field("state", "State before", "The state of the connection before this frame"),
  state_after = text_field("state_after", "State after", "The state of the connection after this frame"),
  user = text_field("user", "User", "The connection's own name"),
  partner = text_field("partner", "Partner", "The name at the other end of the link"),
  partner_stream = ProtoField.uint32(name .. ".partner_stream", "Partner's TCP stream", base.DEC),
  chat = ProtoField.uint32(name .. ".chat", "Chat", base.DEC, nil, nil, "The same number at both ends"),
  response_in = frame_field("response_in", "Answer in", frametype.RESPONSE),
  request_in = frame_field("request_in", "Request in", frametype.REQUEST),
  time = ProtoField.relative_time(name .. ".time", "Time since the request"),
  relayed_in = frame_field("relayed_in", "Reaches the partner in", frametype.NONE),
  relayed_from = frame_field("relayed_from", "Sent by the partner in", frametype.NONE),
  relay_time = ProtoField.relative_time(name .. ".relay_time", "Time since the partner sent it"),
  rule = text_field("rule", "Rule", "The rule of the spec that this frame obeys, or breaks"),
  violation = text_field("violation", "Violation", "What breaks the spec"),
  violation_by = text_field("violation.by", "Violation by", "client or server"),
}
local of_message = {}
for abbreviation, field in pairs(spec.fields) do
  local full = name .. "." .. abbreviation
  of_message[abbreviation] = field.number and ProtoField.uint64(full, field.name, base.DEC, nil, nil, field.doc)
    or text_field(abbreviation, field.name, field.doc)
end

local all = {}
for _, fields in ipairs({own, of_message}) do
  for _, field in pairs(fields) do all[#all + 1] = field end
end
proto.fields = all

local severities = {note = expert.severity.NOTE, warn = expert.severity.WARN, error = expert.severity.ERROR}
local experts = {
  refusal = ProtoExpert.new(name .. ".expert.refusal", "The request was refused",
    expert.group.RESPONSE_CODE, expert.severity.NOTE),
  goodbye = ProtoExpert.new(name .. ".expert.goodbye", "The server ends the connection",
    expert.group.RESPONSE_CODE, expert.severity.WARN),
  fragment = ProtoExpert.new(name .. ".expert.fragment", "Part of a frame", expert.group.REASSEMBLE,
    expert.severity.NOTE),
  discarded = ProtoExpert.new(name .. ".expert.discarded", "Comes after the end and is discarded",
    expert.group.SEQUENCE, expert.severity.NOTE),
}
for code, violation in pairs(spec.violations) do
  experts[code] = ProtoExpert.new(name .. ".expert." .. code, violation.words, expert.group.PROTOCOL,
    severities[violation.severity])
end
local all_experts = {}
for _, item in pairs(experts) do all_experts[#all_experts + 1] = item end
proto.experts = all_experts

local tcp_stream = Field.new("tcp.stream")
local tcp_completeness = Field.new("tcp.completeness")
local tcp_position = Field.new("tcp.seq")
local tcp_octets = Field.new("tcp.len")
local tcp_analysis = Field.new("tcp.analysis.flags")
local tcp_lost = Field.new("tcp.analysis.lost_segment")
local tcp_fin = Field.new("tcp.flags.fin")

-- The innermost value, where one packet holds TCP in TCP.
local function value_of(field)
  local found = {field()}
  return #found > 0 and found[#found].value or nil
end

-- Connections --------------------------------------------------------------------------------------------------------

local connections, calls, latest = {}, {}, 0 -- calls: frame → call → records; latest: the last frame that was followed
local begun = {} -- the pairs of ends that have sent data, where TCP's fields are missing

function proto.init()
  connections, calls, latest, begun = {}, {}, 0, {}
  follow.reset()
end

local SYN = 1 -- in tcp.completeness

-- Whether the capture has the connection from its SYN on, and these octets are its first. Without TCP's fields: whether
-- these ends have not sent anything yet.
local function from_the_start(pinfo, tvb)
  local completeness = value_of(tcp_completeness)
  if completeness then -- what is reassembled ends where the segment does
    local first = value_of(tcp_position) + value_of(tcp_octets) - tvb:reported_len()
    return completeness % 2 == SYN and first == 1
  end
  local ends = {tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port}
  table.sort(ends)
  local key = table.concat(ends, " ")
  local first = not begun[key]
  begun[key] = true
  return first
end

-- The complete lines of `octets`, each without its ending.
local function lines_of(octets)
  return octets:gmatch("([^\n]*)\n")
end

local function bare(line)
  if spec.accepts_crlf and line:byte(-1) == 13 then return line:sub(1, -2), true end
  return line, false
end

-- How many frames of `octets` are right when `read` reads them, and whether all are.
local function count_right(octets, read)
  local right, fields, all_right = 0, 0, true
  for line in lines_of(octets) do
    local frame = read(bare(line))
    if frame.fault or not frame.form then
      all_right = false
    else
      right, fields = right + 1, fields + #frame.spans
    end
  end
  return right, all_right and right > 0, fields
end

-- Whether the client sent these octets: by the server's port if it is known, else by what they say.
local function sent_by_client(pinfo, octets)
  local port = pinfo.match_uint
  if pinfo.src_port ~= pinfo.dst_port and (port == pinfo.dst_port or port == pinfo.src_port) then
    return port == pinfo.dst_port
  end
  local requests, replies = count_right(octets, frames.request), count_right(octets, frames.reply)
  if requests ~= replies then return requests > replies end
  return pinfo.dst_port <= pinfo.src_port -- servers have the lower ones
end

local function connect(pinfo, stream, by_client, started)
  local address, port = tostring(pinfo.dst), pinfo.dst_port
  if not by_client then address, port = tostring(pinfo.src), pinfo.src_port end
  local conn = follow.connection(address .. " " .. port, stream, started)
  conn.address, conn.port = address, port
  conn.client_port = by_client and pinfo.src_port or pinfo.dst_port
  conn.ends = {client = {synced = started}, server = {synced = started}}
  connections[stream] = conn
  return conn
end

local function is_client(conn, pinfo)
  if pinfo.src_port ~= pinfo.dst_port then return pinfo.src_port ~= conn.port end
  return tostring(pinfo.src) ~= conn.address
end

-- A gap in the capture: the next line may be the rest of one.
local function note_loss(conn)
  if tcp_analysis() and tcp_lost() then
    follow.lost(conn)
    conn.ends.client.synced, conn.ends.server.synced = false, false
  end
end

-- Frames -------------------------------------------------------------------------------------------------------------

-- Where the next frame is in `octets` from `first` on: its last octet, and what it is: whole, long (too long), or
-- partial.
local function cut(octets, first)
  local ending = octets:find("\n", first, true)
  local most = first + spec.max_octets - 1
  if ending and ending <= most then return ending, "whole" end
  if ending then return ending, "long" end
  return #octets, #octets >= most and "long" or "partial"
end

local function first_pass(conn, side, line, crlf, what, pinfo)
  local record = {number = pinfo.number, time = pinfo.rel_ts}
  local stretch = conn.ends[side]
  local continues = stretch.long
  stretch.long = what == "long" and line:byte(-1) ~= 10 or nil
  local read = side == "client" and frames.request or frames.reply
  local frame = what == "whole" and not continues and read(line)
  if frame and (stretch.synced or not frame.fault and frame.form) then
    follow[side](conn, frame, record)
    if side == "server" and crlf ~= spec.writes_crlf and not frame.fault then
      record.violations = record.violations or {}
      table.insert(record.violations, {code = "wrong-ending", by = side, why = crlf and "CRLF" or "LF"})
    end
  elseif what == "long" and side == "client" and not continues and stretch.synced then
    follow.too_long(conn, record)
  else
    record.before, record.after = conn.view, conn.view
    record.kind = conn.silenced and side == "client" and "discarded" or "fragment"
    if what == "long" and not continues and stretch.synced then
      record.violations = {{code = spec.too_long, by = side, why = spec.max_octets .. " octets without an ending"}}
    end
  end
  stretch.synced = what == "whole" or stretch.synced and what == "partial"
  return record
end

-- Showing ------------------------------------------------------------------------------------------------------------

-- Characters that would change how a line looks: controls, and those that turn the direction of writing.
local function visible(text)
  text = text:gsub("[%c]", function(c) return ("\\x%02x"):format(c:byte()) end)
  text = text:gsub("\216\156", "\\u{61c}")
  return (text:gsub("\226(\128)([\142\143\170-\174])", function(_, c) return ("\\u{20%02x}"):format(c:byte() - 128) end)
    :gsub("\226\129([\166-\169])", function(c) return ("\\u{20%02x}"):format(c:byte() - 64 ) end))
end

local function add_text(tree, field, text)
  if text then tree:add(field, text):set_generated() end
end

local function add_time(tree, field, from, to)
  local seconds = math.max(0, to - from)
  local whole = math.floor(seconds)
  tree:add(field, NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))):set_generated()
end

local function add_links(tree, record)
  local request, response = record.request, record.response
  if request then
    tree:add(own.request_in, request.number):set_generated()
    add_time(tree, own.time, request.time, record.time)
  end
  if response then tree:add(own.response_in, response.number):set_generated() end
  if record.relayed_from then
    tree:add(own.relayed_from, record.relayed_from.number):set_generated()
    add_time(tree, own.relay_time, record.relayed_from.time, record.time)
  end
  if record.relayed_to then tree:add(own.relayed_in, record.relayed_to.number):set_generated() end
end

local function state_of(view)
  return view.states.only or "unknown"
end

local function add_rule(tree, id)
  if id then
    local item = tree:add(own.rule, id):set_generated()
    if spec.texts[id] then item:append_text(": " .. spec.texts[id]) end
  end
end

local function add_experts(tree, record, frame, kind)
  for _, violation in ipairs(record.violations or {}) do
    local item = tree:add(own.violation, violation.code)
    item:set_generated()
    item:add_proto_expert_info(experts[violation.code], violation.code .. ": " .. visible(violation.why))
    tree:add(own.violation_by, violation.by):set_generated()
    add_rule(tree, violation.rule)
  end
  if kind == "refusal" or kind == "goodbye" then
    local code = frame.values[frame.form.code] or ""
    local known = spec.errors[code] or spec.goodbyes[code]
    tree:add_proto_expert_info(experts[kind], code .. ": " .. (known and known.doc or ""))
  elseif experts[kind] then
    tree:add_proto_expert_info(experts[kind])
  end
end

local function add_context(tree, record)
  local before, after = record.before, record.after
  local state, state_after = state_of(before), state_of(after)
  local item = tree:add(own.state, state):set_generated()
  if state == "unknown" then item:append_text(" (" .. before.states.text .. ")") end
  tree:add(own.state_after, state_after):set_generated()
  add_text(tree, own.user, after.user or before.user)
  add_text(tree, own.partner, after.partner or before.partner)
  local chat, peer = after.chat or before.chat, after.peer or before.peer
  if chat then tree:add(own.chat, chat):set_generated() end
  if peer then tree:add(own.partner_stream, peer):set_generated() end
end

local function add_message(tree, range, frame)
  tree:add(own.verb, range(0, math.min(#frame.verb, range:len())), frame.verb)
  for _, span in ipairs(frame.spans) do
    local part, first, octets = span[1], span[2], span[3]
    local field = of_message[part.abbreviation]
    local where = range(math.min(first - 1, range:len() - 1), math.min(octets, range:len() - first + 1))
    local value = frame.values[part.name]
    if not spec.fields[part.abbreviation].number then
      tree:add(field, where, value)
    elseif value:find("^%d+$") and #value <= 18 then
      tree:add(field, where, UInt64(value))
    end
  end
end

-- Adds the tree of one frame, and gives its words for the Info column.
local function show(tree, range, line, frame, record, side, conn)
  local kind = record.kind or frame.kind
  local mark = side == "client" and " > " or " < "
  local user = record.after.user or record.before.user or conn.client_port
  local words = visible(line)
  if kind == "fragment" then words = "[part of a frame] " .. words end
  if kind == "discarded" then words = "[discarded] " .. words end
  if record.violations then words = words .. " [" .. record.violations[1].code .. "]" end

  local item = tree:add(proto, range, spec.title .. ", " .. user .. mark .. words)
  item:add_packet_field(own.line, range(0, #line), ENC_UTF_8)
  item:add(own.length, range:len()):set_generated()
  add_message(item, range, frame)
  add_text(item, own.from, side)
  add_text(item, own.kind, kind)
  add_text(item, own.request, record.verb)
  add_context(item, record)
  add_links(item, record)
  if not record.violations then add_rule(item, record.rule) end
  add_experts(item, record, frame, kind)
  return user .. mark, words
end

local function set_columns(pinfo, who, words)
  pinfo.cols.protocol = name:upper()
  local more = #words > NAMES_AT_MOST and (" | … %d more"):format(#words - NAMES_AT_MOST) or ""
  pinfo.cols.info = who .. table.concat(words, " | ", 1, math.min(#words, NAMES_AT_MOST)) .. more
  pinfo.cols.info:fence()
end

-- Dissection ---------------------------------------------------------------------------------------------------------
-- tshark -2 without a filter has no fields of TCP on its first pass. Frames are only cut then, so that TCP reassembles
-- them, and what is missing is found on the second pass, which is in order too.

local nothing = {verb = "", kind = "unknown", values = {}, spans = {}}

-- The records of this call: a list with a record for each frame, empty at first; nil if it was missed and is past.
local function records_of(pinfo, tvb)
  local of_frame = calls[pinfo.number]
  if not of_frame then
    of_frame = {}
    calls[pinfo.number] = of_frame
  end
  local key = tvb:offset() * 2 ^ 24 + tvb:len() -- what is reassembled has the offset 0, a segment never
  if not of_frame[key] and pinfo.number >= latest then
    of_frame[key], latest = {new = true}, pinfo.number
  end
  return of_frame[key]
end

-- Whether to wait for the rest of a frame.
local function wait_for_rest(pinfo, tvb, first)
  if pinfo.can_desegment == 0 or tvb:len() < tvb:reported_len() or value_of(tcp_fin) then return false end
  pinfo.desegment_offset = first - 1
  pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
  return true
end

-- Calls `take(line, crlf, what, offset, octets)` for each frame of the segment, and asks TCP for what is missing.
local function each_frame(tvb, pinfo, take)
  local octets = tvb:raw(0, tvb:len())
  local first = 1
  while first <= #octets do
    local last, what = cut(octets, first)
    if what == "partial" and wait_for_rest(pinfo, tvb, first) then return end
    local line, crlf = octets:sub(first, last), false
    if octets:byte(last) == 10 then line, crlf = bare(line:sub(1, -2)) end
    take(line, crlf, what, first - 1, last - first + 1)
    first = last + 1
  end
end

local function dissect(tvb, pinfo, tree, conn)
  local side = is_client(conn, pinfo) and "client" or "server"
  local records, words, who = records_of(pinfo, tvb), {}, nil
  if not records then return tvb:len() end
  local is_new = records.new
  records.new = nil
  if is_new then note_loss(conn) end
  each_frame(tvb, pinfo, function(line, crlf, what, offset, octets)
    local index = #words + 1
    if is_new then
      records[index] = first_pass(conn, side, line, crlf, what, pinfo)
    end
    local record = records[index]
    local frame = what == "whole" and (side == "client" and frames.request or frames.reply)(line) or nothing
    who, words[index] = show(tree, tvb(offset, octets), line, frame, record, side, conn)
  end)
  if who then set_columns(pinfo, who, words) end
  return tvb:len()
end

function proto.dissector(tvb, pinfo, tree)
  if tvb:len() == 0 then return 0 end
  local stream = value_of(tcp_stream)
  if not stream then
    each_frame(tvb, pinfo, function() end)
    return tvb:len()
  end
  local conn = connections[stream]
    or connect(pinfo, stream, sent_by_client(pinfo, tvb:raw(0, tvb:len())), from_the_start(pinfo, tvb))
  return dissect(tvb, pinfo, tree, conn)
end

-- Recognises the protocol on any port: all lines of the segment must be right frames of one side. A connection begins
-- with what a client may say first; what the server says, and what is said later, must have a field. Servers have the
-- lower ports where the lines are right for both sides. Gives the side, or nil, and whether
-- the connection begins here.
local function recognise(pinfo, tvb)
  local octets = tvb:raw(0, tvb:len())
  local _, requests, request_fields = count_right(octets, frames.request)
  local _, replies, reply_fields = count_right(octets, frames.reply)
  local started = from_the_start(pinfo, tvb)
  if requests and started and spec.rows[spec.initial][octets:match("^[^ \r\n]*")] then return "client", started end
  local by_client, by_server = requests and request_fields > 0, replies and reply_fields > 0
  if by_client and by_server then return pinfo.dst_port <= pinfo.src_port and "client" or "server" end
  return by_client and "client" or by_server and "server", false
end

proto:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() == 0 then return false end
  local stream = value_of(tcp_stream)
  local conn = stream and connections[stream]
  if not conn then
    local side, started = recognise(pinfo, tvb)
    if not side then return false end
    if stream then connect(pinfo, stream, side == "client", side == "client" and started) end
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
