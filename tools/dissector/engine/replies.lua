-- Follows the server's frames: which request each answers, what it changes, and whether that is right by the table.
-- Knows no Wireshark.
--
-- The server's frames come in the order of its decisions, so the view before each frame is the server's state when it
-- decided. Where requests are missing, nobody can tell which one an answer is for, and where the view is a guess, whether
-- a frame has its place: neither is judged there.

local spec, views, connections = ...

local put, drop, fold, holds = connections.put, connections.drop, connections.fold, connections.holds
local violation, change, perform = connections.violation, connections.change, connections.perform

local fault_in, fault_row = connections.fault_in, connections.fault_row

local fault_of_error = {} -- the first row of the faults with this error
for index = #spec.faults, 1, -1 do
  fault_of_error[spec.faults[index].error] = spec.faults[index]
end

-- The request that a refusal answers, if requests of this verb have no answer when they succeed. It is none of the lines
-- that have reached the partner. If the partner's connection is not in the capture, it is the first line after the last
-- change of state, or else the last one before.
local function better(conn, chosen, index)
  if conn.peer then return chosen or index end
  return chosen and chosen > conn.turn and chosen or index
end

-- Whether an answer can be for a request: it has no other value in a field of the same name.
local function may_answer(frame, entry)
  for name, value in pairs(frame.values) do
    local asked = entry.values[name]
    if asked and fold(asked) ~= fold(value) then return false end
  end
  return true
end

-- The same where some requests may have been answered in a hole: the only one that it can be for.
local function take_unsure(conn, frame, verb, refused)
  local pending, found, place, count = conn.pending, nil, nil, #conn.unsure
  local function fits(entry)
    return entry.verb == verb and (not entry.silent or refused and not entry.record.relayed_to)
      and (refused or may_answer(frame, entry))
  end
  for index = 1, count + pending.last - pending.first + 1 do
    local entry = conn.unsure[index] or pending[pending.first + index - count - 1]
    if fits(entry) then
      if found then return nil end
      found, place = entry, index
    end
  end
  if not found then return nil end
  local left = {}
  for index = place + 1, count do
    left[#left + 1] = conn.unsure[index]
  end
  conn.unsure = #left > 0 and left or nil
  if place > count then drop(pending, pending.first + place - count - 1) end
  return found
end

-- Takes the request of an answer out of the queue; also returns the request that the answer overtook. Where requests are
-- missing, those before it were answered unseen.
local function take(conn, frame, verb, refused)
  if conn.unsure then return take_unsure(conn, frame, verb, refused) end
  local pending, silent, chosen, overtaken = conn.pending, nil, nil, nil
  for index = pending.first, pending.last do
    local entry = pending[index]
    if entry.silent then
      if refused and entry.verb == verb and not entry.record.relayed_to then silent = better(conn, silent, index) end
    elseif silent or entry.verb == verb and (conn.whole or refused or may_answer(frame, entry)) then
      chosen = silent or index
      break
    elseif conn.whole then
      overtaken = overtaken or entry
    end
  end
  chosen = chosen or silent
  if not chosen then return nil end
  local entry = pending[chosen]
  if overtaken then
    pending[chosen] = {record = entry.record, silent = true, values = {}}
    return entry, overtaken
  end
  for index = pending.first, chosen - 1 do
    conn.row_broken = true -- by frames that succeeded silently
    if refused and pending[index].verb == verb and not pending[index].record.relayed_to then -- or their refusal comes
      conn.doubts = (conn.doubts or 0) + 1
    end
  end
  drop(pending, chosen)
  return entry
end

local function answered(conn, frame, record, verb, refused)
  local entry, overtaken = take(conn, frame, verb, refused)
  if not entry then
    if refused and (conn.doubts or 0) > 0 then
      conn.doubts = conn.doubts - 1
    elseif conn.whole then
      violation(record, "unexpected-answer", "server", "no request before it is unanswered")
    end
    return nil
  end
  record.request, entry.record.response = entry.record, record
  if conn.doubtful and conn.whole then connections.settle(conn, entry.record) end
  if overtaken then
    local why = ("%s in frame %d has no answer yet"):format(overtaken.verb, overtaken.record.number)
    violation(record, "out-of-order", "server", why)
  end
  return entry
end

-- Counts a frame with a fault, or without one, for the budgets of the state.
local function spend(conn, fault, verb)
  local state = conn.view.states.only
  local counts = fault and not fault.uncounted[verb]
  for index, budget in ipairs(spec.budgets) do
    if budget.in_a_row and (conn.row_broken or not counts) then conn.spent[index] = 0 end
    if counts and state and budget.states[state] then
      conn.spent[index] = (conn.spent[index] or 0) + 1
      if conn.whole and not conn.doubts and conn.spent[index] >= budget.faults then conn.must_end = budget end
    end
  end
  conn.row_broken = false
end

-- Moves the connection to the states to which the table leads. If it leads to none, that is a violation, and the frame
-- is believed.
local function move(conn, record, event, step, code, what)
  local states = views.after(conn.view.states, event, step)
  if states.empty then
    if not conn.possible then
      violation(record, code, "server", ("%s has no place in %s"):format(what, conn.view.states.text))
    end
    states = views.after(views.every, event, step)
  end
  if not states.empty and states ~= conn.view.states then change(conn, {states = states}) end
  if conn.possible then connections.narrow(conn, event, step) end
end

-- The first row that `fits` and is not excluded, in a state that the connection can be in.
local function find_row(conn, states, verb, values, fits)
  local found
  for state in pairs(states.has) do
    for _, row in ipairs(spec.rows[state][verb] or {}) do
      if fits(row) then
        if holds(row.when, conn.view, values) ~= false then return row end
        found = found or row
      end
    end
  end
  return found
end

-- An outcome is right if no condition before it in the table holds, and its own can.
local function judge_outcome(conn, record, entry, verb, fits)
  if not (entry and conn.whole and conn.view.states.only) then return end
  local why, rule
  for _, row in ipairs(spec.rows[conn.view.states.only][verb] or {}) do
    local held = holds(row.when, conn.view, entry.values)
    if row.maybe and held then held = nil end
    if fits(row) then
      if held ~= false then return end
      why, rule = why or "not so: " .. row.when.text, rule or row.rule
    elseif held then
      local reason = row.when and row.when.text or "nothing else holds"
      why, rule = why or ("%s, so it must be %s"):format(reason, row.label), row.rule
      break
    end
  end
  if why then violation(record, "wrong-outcome", "server", why, rule) end
end

-- The right value of a field of an answer, and whether its case counts; nil if the capture cannot tell.
local function expected(conn, entry, row, variable)
  if entry.values[variable] then return entry.values[variable], not row.respelled[variable] end
  if variable == "me" then return conn.view.user, true end
  if variable == "count" then return tostring(entry.items or 0), true end
  if variable == "peer" then return entry.values[row.does.link or row.does.accept], false end
end

local function judge_values(conn, record, entry, row, frame)
  if not conn.whole then return end
  for _, part in ipairs(row.answer) do
    if type(part) == "table" then
      local found, wanted, exact = frame.values[part.field], part.word, true
      if part.variable then wanted, exact = expected(conn, entry, row, part.variable) end
      if wanted and found and wanted ~= found and (exact or fold(wanted) ~= fold(found)) then
        local why = ("%s is %s and must be %s"):format(part.field, found, wanted)
        violation(record, "wrong-value", "server", why, row.rule)
      end
    end
  end
end

-- What a row adds to and drops from the relations of its own connection.
local function own_tuples(conn, row, entry)
  if #row.tuples > 0 then
    local values = entry and entry.values or {}
    change(conn, {tuples = views.with_tuples(conn.view, row.tuples, values)})
  end
end

local handlers = {}

function handlers.answer(conn, frame, record)
  local verb, before = frame.form.verb, conn.view.states
  local entry = answered(conn, frame, record, verb)
  record.verb, conn.listing, conn.previous = verb, nil, nil
  spend(conn)
  if entry and entry.fault and conn.whole then
    local fault = fault_row(before, entry.fault, entry.verb) or {error = entry.fault}
    violation(record, "wrong-outcome", "server", "the request has the fault " .. fault.error, fault.rule)
  end
  local function succeeds(row) return not row.error end
  local values = entry and entry.values or frame.values
  local row = find_row(conn, conn.view.states, verb, values, succeeds)
  if row then
    judge_outcome(conn, record, entry, verb, succeeds)
  else
    row = find_row(conn, views.every, verb, values, succeeds)
  end
  if entry then judge_values(conn, record, entry, row, frame) end
  move(conn, record, "answer " .. frame.form.key, function(state, add)
    for _, found in ipairs(spec.rows[state][verb] or {}) do
      if not found.error then add(found.to or state) end
    end
  end, "wrong-outcome", frame.form.key)
  record.rule = record.rule or row.rule
  perform(conn, row.does, function(variable)
    for _, part in ipairs(row.answer) do
      if type(part) == "table" and part.variable == variable then return frame.values[part.field] end
    end
    return entry and entry.values[variable]
  end)
  if row.does.link and not before.only then change(conn, {here = views.unknown}) end -- it may be an answer
  own_tuples(conn, row, entry)
  if row.to == spec.final then conn.over = true end
end

-- The request of an item of a list that nothing ends. An item with the same first field as one before it begins the
-- list of the next request.
local function endless(conn, verb, subject)
  local pending = conn.pending
  for index = pending.first, pending.last do
    local entry = pending[index]
    if entry.verb == verb and not entry.fault and not entry.over then
      entry.listed = entry.listed or {}
      if not entry.listed[subject] then
        entry.listed[subject] = true
        return entry
      end
      entry.over = true
    end
  end
end

function handlers.item(conn, frame, record)
  local verb, pending = frame.form.verb, conn.pending
  record.verb = verb
  if not spec.requests[verb].answered then
    local first = frame.spans[1]
    local entry = endless(conn, verb, first and frame.values[first[1].name] or "")
    record.request = entry and entry.record
    if not entry and conn.whole then
      violation(record, "unexpected-answer", "server", "no request before it has such items")
    end
    return
  end
  if conn.unsure then return end
  local entry = conn.listing
  for index = pending.first, pending.last do
    if entry or not pending[index].silent then
      entry = entry or pending[index]
      break
    end
  end
  if entry and entry.verb == verb then
    entry.items = (entry.items or 0) + 1
    conn.listing, record.request = entry, entry.record
  elseif conn.whole then
    violation(record, "unexpected-answer", "server", "no request before it has such items")
  end
end

-- A refusal for a fault that any frame can have. It is right in a state if the first row of the faults that answers the
-- request there has its error; if the request is not in the capture, any row with the error will do.
local function general_refusal(conn, record, entry, code, verb)
  local states, fault, right = conn.view.states, entry and entry.fault, false
  local function fits(state)
    if entry then
      local row = fault_in(state, fault, verb)
      return row and row.error == code
    end
    for _, row in ipairs(spec.faults) do
      local found = fault_in(state, row.fault, verb)
      if found and found.error == code then return true end
    end
  end
  for state in pairs(states.has) do
    right = right or fits(state)
  end
  local wanted, given = fault_row(states, fault, verb), fault_of_error[code]
  if not right and fault and wanted then
    violation(record, "wrong-outcome", "server", "the fault is " .. wanted.error, wanted.rule)
  elseif not right and entry and not fault and given.fault ~= "state" then
    violation(record, "wrong-outcome", "server", "the request has no such fault", given.rule)
  else
    local event = ("fault %s %s %s"):format(entry and (fault or "none") or "unseen", verb, code)
    move(conn, record, event, function(state, add)
      if fits(state) then add(state) end
    end, "wrong-outcome", code .. " for " .. verb)
  end
  local row = fault_row(conn.view.states, fault, verb)
  if not row or row.error ~= code then row = given end
  record.rule = row.rule
  spend(conn, row, verb)
end

-- The verb of the first open request that can be refused so, for a refusal that names none.
local function refused_verb(conn, code)
  local pending = conn.pending
  for index = pending.first, pending.last do
    local verb = pending[index].verb
    local function refuses(row) return row.error == code end
    local general = fault_of_error[code] and (pending[index].fault or fault_row(conn.view.states, nil, verb))
    if general or verb and find_row(conn, views.every, verb, {}, refuses) then return verb end
  end
  return spec.any_verb
end

-- A request that was refused since it names its own sender tells the sender's name.
local function learn_name(conn, row, entry)
  for _, condition in ipairs(row.when and row.when.all or {}) do
    local name = entry and condition.kind == "oneself" and entry.values[condition.field]
    if name and not conn.view.user and not conn.whole then connections.name_user(conn, name) end
  end
end

function handlers.refusal(conn, frame, record)
  local form = frame.form
  local code = form.error or frame.values[form.code]
  local verb = frame.values[form.about] or refused_verb(conn, code)
  local entry = answered(conn, frame, record, verb, true)
  record.verb, conn.previous = verb, nil
  if entry then entry.refused = true end
  if not spec.errors[code] then
    violation(record, "unknown-code", "server", "there is no error " .. code)
  elseif fault_of_error[code] then
    general_refusal(conn, record, conn.whole and entry or nil, code, verb)
  else
    local function refuses(row) return row.error == code end
    local row = find_row(conn, conn.view.states, verb, entry and entry.values or {}, refuses)
    local fault = entry and entry.fault and fault_row(conn.view.states, entry.fault, verb)
    if fault and conn.whole then
      violation(record, "wrong-outcome", "server", "the fault is " .. fault.error, fault.rule)
    elseif row then
      judge_outcome(conn, record, entry, verb, refuses)
    end
    move(conn, record, "refusal " .. verb .. " " .. code, function(state, add)
      for _, found in ipairs(spec.rows[state][verb] or {}) do
        if refuses(found) then add(state) end
      end
    end, "wrong-outcome", code .. " for " .. verb)
    record.rule = row and row.rule
    if row then
      learn_name(conn, row, entry)
      perform(conn, row.does, function() end)
      own_tuples(conn, row, entry)
    end
    spend(conn)
  end
end

-- The states of a connection before and after a push with this cause.
local function pushed(cause)
  return function(state, add)
    if cause.states[state] then add(cause.to or state) end
  end
end

local function words_fit(cause, values)
  for field, words in pairs(cause.words) do
    if not words[values[field]] then return false end
  end
  return true
end

-- Why a push with this cause cannot come now, by what is known of both ends of the link; nil if it can.
local function misfit(view, frame, cause)
  local me, partner = cause.me and frame.values[cause.me], view.partner
  if not next(cause.does) or cause.does.link then return nil end
  if partner == false then return "there is no " .. spec.link end
  if partner and me and fold(partner) ~= fold(me) then return ("%s is not the %s"):format(me, spec.link) end
  if cause.here ~= nil and view.here ~= nil and cause.here ~= view.here then
    return ("the %s has %s"):format(spec.link, view.here and "answered" or "not answered yet")
  end
  for _, known in ipairs(cause.known) do
    local held = connections.decided(known, view, {})
    if held ~= nil and held ~= known.holds then return (held and "it is so: " or "it is not so: ") .. known.kind end
  end
end

-- The cause of a push among those with its words: the first one that fits, or else one whose state fits, or else the
-- first. Also returns its number, and why it does not fit.
local function cause_of(conn, frame)
  local form, chosen, number, wrong, placed = frame.form, nil, nil, nil, false
  for index, cause in ipairs(form.moves) do
    if words_fit(cause, frame.values) then
      local in_place = not views.after(conn.view.states, form.key .. " " .. index, pushed(cause)).empty
      local why = misfit(conn.view, frame, cause)
      if in_place and not why then return cause, index end
      if not chosen or in_place and not placed then
        chosen, number, wrong, placed = cause, index, in_place and why or nil, in_place
      end
    end
  end
  return chosen, number, wrong
end

-- A line from the partner: links it with the request that sent it. A line that was not sent is one in doubt: the packet
-- that sent it may be missing, which the partner's next packets will show.
local function match_line(conn, frame, record)
  local peer = conn.peer
  if not peer then
    peer = connections.speaker(conn, frame.values, record.time)
    if not (peer and connections.recognise(conn, peer)) then return end
  end
  for index = peer.lines.first, peer.lines.last do
    local entry = peer.lines[index]
    local same = not entry.refused
    for name, value in pairs(frame.values) do
      same = same and entry.values[name] == value
    end
    if same then
      record.relayed_from, entry.record.relayed_to = entry.record, record
      return drop(peer.lines, index)
    end
  end
  if peer.whole and conn.whole then
    peer.doubtful = peer.doubtful or {}
    table.insert(peer.doubtful, {record = record, values = frame.values})
  end
end

function handlers.push(conn, frame, record)
  local form, before = frame.form, conn.view.states
  local cause, number, wrong = cause_of(conn, frame)
  if form.reply then put(conn.probes, {record = record, reply = form.reply, values = frame.values}) end
  if not cause then
    return violation(record, "wrong-push", "server", "no row has these words")
  end
  record.rule = cause.rule
  if cause.me and (cause.does.accept or cause.does.unlink) then connections.learn_partner(conn, frame.values[cause.me]) end
  record.before = conn.view
  if wrong and not conn.possible then violation(record, "wrong-push", "server", wrong, cause.rule) end
  move(conn, record, form.key .. " " .. number, pushed(cause), "wrong-push", form.key)
  if cause.does.link then
    connections.meet(conn, cause.me and frame.values[cause.me])
    change(conn, {accepted = false, answered = false, here = true})
  elseif cause.does.unlink then
    connections.part(conn)
  elseif cause.does.accept then
    change(conn, {here = true})
  elseif cause.does.relay then
    if conn.view.here == nil then change(conn, {here = cause.here}) end
    match_line(conn, frame, record)
  end
  if #cause.tuples > 0 then change(conn, {tuples = views.with_tuples(conn.view, cause.tuples, frame.values)}) end
  if cause.does.link or cause.does.unlink then conn.turn = conn.pending.last end
  if conn.view.states ~= before then conn.previous = conn.previous or before end
end

function handlers.goodbye(conn, frame, record)
  local code = frame.values[frame.form.code]
  local goodbye = spec.goodbyes[code]
  if not goodbye then
    violation(record, "unknown-code", "server", "there is no goodbye " .. code)
  else
    local only, spent = conn.view.states.only, conn.must_end and conn.must_end.goodbye == code
    for _, cause in ipairs(goodbye.why) do
      if not cause.states or not only or cause.states[only] then
        record.rule = cause.rule
        break
      end
    end
    for _, budget in ipairs(spec.budgets) do
      if budget.goodbye == code and conn.whole and not conn.doubts and not spent then
        violation(record, "early-goodbye", "server", "not so many faults were answered", budget.rule)
        break
      end
    end
    if spent then conn.must_end = nil end
  end
  connections.release(conn)
  change(conn, {states = views.after(conn.view.states, "goodbye", function(_, add) add(spec.final) end)})
  conn.over, conn.silenced = true, true
end

-- `synced`: whether the frame's beginning is in the capture; else it may be the end of another one, and what it says is
-- a guess.
local function follow(conn, frame, record, synced)
  record.before, record.after = conn.view, conn.view
  if conn.over then
    violation(record, "after-the-end", "server", "nothing may follow it")
    return
  end
  local must_end, listing, silenced = conn.must_end, conn.listing, conn.silenced
  if frame.fault then
    local row = fault_row(views.every, frame.fault, spec.any_verb)
    violation(record, row.error, "server", frame.why, row.rule)
  elseif not frame.form then
    violation(record, "unknown-frame", "server", "the spec has no frame that begins so")
  else
    handlers[frame.kind](conn, frame, record)
  end
  if must_end and must_end == conn.must_end then
    local why = ("it must be the goodbye %s"):format(must_end.goodbye)
    violation(record, "missing-goodbye", "server", why, must_end.rule)
    conn.must_end = nil
  end
  if listing and record.request ~= listing.record then
    local why = ("the items for frame %d are not at their end"):format(listing.record.number)
    violation(record, "interrupted", "server", why)
  end
  if not synced then
    conn.possible, conn.over, conn.silenced, record.violations = views.every, nil, silenced, nil
  end
  record.after = conn.view
end

return {follow = follow}
