-- What Wireshark shows of a frame: the fields, the tree, the expert information, the columns. Decides nothing.

local spec = ...

local name = spec.protocol
local proto = Proto(name, spec.title)
local FRAMES_AT_MOST = 12 -- of one segment in the Info column
local OCTETS_AT_MOST = 300 -- of one frame there

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
  state_change = text_field("state_change", "State change", "The states before and after, where they differ"),
  user = text_field("user", "User", "The connection's own name"),
  partner = text_field("partner", "Partner", "The name at the other end of the link"),
  answered = ProtoField.bool(name .. ".answered", "This end has answered"),
  here = ProtoField.bool(name .. ".here", ("The %s has answered"):format(spec.link)),
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

local of_relation = {}
for relation, field in pairs(spec.relations) do
  of_relation[relation] = text_field(field.abbreviation, relation:gsub("^%l", string.upper), field.doc)
end

local all = {}
for _, fields in ipairs({own, of_message, of_relation}) do
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

-- Escapes controls, and characters that change the direction of writing, as Wireshark does elsewhere.
local function visible(text)
  text = text:gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end)
  if text:find("[\194\216\226]") then
    text = text:gsub("\194([\128-\159])", function(c) return ("\\u%04X"):format(c:byte()) end)
      :gsub("\216\156", "\\u061C")
      :gsub("\226\128([\142\143\170-\174])", function(c) return ("\\u20%02X"):format(c:byte() - 128) end)
      :gsub("\226\129([\166-\169])", function(c) return ("\\u20%02X"):format(c:byte() - 64) end)
  end
  return text
end

-- The first octets of a text, without half a character at the end.
local function shortened(text)
  if #text <= OCTETS_AT_MOST then return text end
  return text:sub(1, OCTETS_AT_MOST):gsub("[\192-\255]?[\128-\191]*$", "") .. "…"
end

-- Whether the field is needed: by a filter, a column or the open tree.
local function wanted(tree, field)
  return tree.visible or tree:referenced(field)
end

local function add(tree, field, value)
  if value and wanted(tree, field) then return tree:add(field, value):set_generated() end
end

-- The same for a field that may be false; nil is unknown.
local function add_whether(tree, field, value)
  if value ~= nil and wanted(tree, field) then tree:add(field, value):set_generated() end
end

local function add_time(tree, field, from, to)
  if wanted(tree, field) then
    local seconds = math.max(0, to - from)
    local whole = math.floor(seconds)
    add(tree, field, NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5)))
  end
end

local function add_links(tree, record)
  local request, response, origin, target = record.request, record.response, record.relayed_from, record.relayed_to
  add(tree, own.request_in, request and request.number)
  if request then add_time(tree, own.time, request.time, record.time) end
  add(tree, own.response_in, response and response.number)
  add(tree, own.relayed_from, origin and origin.number)
  if origin then add_time(tree, own.relay_time, origin.time, record.time) end
  add(tree, own.relayed_in, target and target.number)
end

local function add_rule(tree, id)
  local item = add(tree, own.rule, id)
  if item and spec.texts[id] then item:append_text(": " .. spec.texts[id]) end
end

local function add_experts(tree, record, frame, kind)
  for _, violation in ipairs(record.violations or {}) do
    local item = tree:add(own.violation, violation.code):set_generated()
    item:add_proto_expert_info(experts[violation.code], violation.code .. ": " .. visible(violation.why))
    add(tree, own.violation_by, violation.by)
    add_rule(tree, violation.rule)
  end
  if kind == "refusal" or kind == "goodbye" then
    local code = frame.form.error or frame.values[frame.form.code] or ""
    local known = spec.errors[code] or spec.goodbyes[code]
    tree:add_proto_expert_info(experts[kind], code .. ": " .. (known and known.doc or ""))
  elseif experts[kind] then
    tree:add_proto_expert_info(experts[kind])
  end
end

local function add_context(tree, record)
  local before, after = record.before, record.after
  local item = add(tree, own.state, before.states.only or "unknown")
  if item and not before.states.only then item:append_text(" (" .. before.states.text .. ")") end
  add(tree, own.state_after, after.states.only or "unknown")
  local first, last = before.states.only or "unknown", after.states.only or "unknown"
  if first ~= last then add(tree, own.state_change, first .. " to " .. last) end
  add(tree, own.user, after.user or before.user)
  add(tree, own.partner, after.partner or before.partner)
  local chat = after.partner and after or before.partner and before -- which of both views has a partner
  if chat then
    add_whether(tree, own.answered, chat.answered)
    add_whether(tree, own.here, chat.here)
  end
  for relation, field in pairs(of_relation) do
    local tuples = after.tuples[relation] or {}
    if #tuples > 0 then add(tree, field, table.concat(tuples, ", ")) end
  end
  add(tree, own.chat, after.chat or before.chat)
  add(tree, own.partner_stream, after.peer or before.peer)
end

local function add_message(tree, range, line, frame)
  if wanted(tree, own.line) then tree:add_packet_field(own.line, range(0, #line), ENC_UTF_8) end
  if wanted(tree, own.verb) then tree:add_packet_field(own.verb, range(0, #frame.verb), ENC_UTF_8) end
  for _, span in ipairs(frame.spans) do
    local part, first, octets = span[1], span[2], span[3]
    local field, where, value = of_message[part.abbreviation], range(first - 1, octets), frame.values[part.name]
    if wanted(tree, field) then
      if not spec.fields[part.abbreviation].number then
        tree:add_packet_field(field, where, ENC_UTF_8)
      elseif value:find("^%d+$") and #value <= 18 then
        tree:add(field, where, UInt64(value))
      end
    end
  end
end

-- One frame in words: its sender or receiver, and the line.
local function label(line, frame, record, side, conn)
  local user = record.after.user or record.before.user or conn.client_port
  local words = visible(shortened(line))
  if not frame.form or frame.fault then -- it may not be UTF-8
    words = words:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)
  end
  local kind = record.kind or frame.kind
  if kind == "fragment" then words = "[part of a frame] " .. words end
  if kind == "discarded" then words = "[discarded] " .. words end
  if record.violations then words = words .. " [" .. record.violations[1].code .. "]" end
  return user .. (side == "client" and " > " or " < "), words
end

-- The tree of one frame, whose octets are `range`.
local function show(tree, range, line, frame, record, side)
  local kind = record.kind or frame.kind
  add_message(tree, range, line, frame)
  add(tree, own.length, range:len())
  add(tree, own.from, side)
  add(tree, own.kind, kind)
  add(tree, own.request, record.verb)
  add_context(tree, record)
  add_links(tree, record)
  if not record.violations then add_rule(tree, record.rule) end
  add_experts(tree, record, frame, kind)
end

-- Whether the frame has expert information; Wireshark asks for that without asking for a field.
local function is_notable(frame, record)
  return record.violations or experts[record.kind or frame.kind]
end

local function set_columns(pinfo, who, words)
  local columns = pinfo.cols
  local protocol, info = columns.protocol, columns.info
  local more = #words > FRAMES_AT_MOST and (" | … %d more"):format(#words - FRAMES_AT_MOST) or ""
  protocol:set(name:upper())
  info:set(who .. table.concat(words, " | ", 1, math.min(#words, FRAMES_AT_MOST)) .. more)
  info:fence()
end

return {proto = proto, label = label, show = show, is_notable = is_notable, set_columns = set_columns}
