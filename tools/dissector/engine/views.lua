-- A view: what is known of a connection at one moment, as an immutable table. Each frame keeps the views before and
-- after it, so it shows the same when it is shown again. Knows no frame and no Wireshark.
--
-- A view has: states (the set of states that the connection can be in; one state if the capture tells it), user (the
-- connection's own name), partner (the name at the other end of the link), accepted and answered (of this end), here
-- (whether the partner has answered), chat (a number), peer (the TCP stream of the partner), tuples (by the relation:
-- an array of texts, the tuples of this connection that the capture shows). nil is unknown, false is none.

local spec = ...

local order = {}
for index, name in ipairs(spec.states) do
  order[index] = name
end
order[#order + 1] = spec.final

local interned = {}

-- The set of the states that are keys of `has`. Equal sets are one table: {has, only (its state, if it is one), next}.
local function set(has)
  local names = {}
  for _, name in ipairs(order) do
    if has[name] then names[#names + 1] = name end
  end
  local key = table.concat(names, " or ")
  local found = interned[key]
  if not found then
    found = {has = has, only = #names == 1 and names[1] or nil, empty = #names == 0, text = key, next = {}}
    interned[key] = found
  end
  return found
end

local every = {}
for _, name in ipairs(spec.states) do
  every[name] = true
end
every = set(every)

-- The states after an event: `step(state, add)` adds those that it can lead to. Cached for the set and the event.
local function after(states, event, step)
  local result = states.next[event]
  if not result then
    local has = {}
    local function add(name) has[name] = true end
    for name in pairs(states.has) do
      step(name, add)
    end
    result = set(has)
    states.next[event] = result
  end
  return result
end

-- The first view of a connection whose beginning is in the capture, and of one whose beginning is not.
local no_link = {partner = false, accepted = false, answered = false, here = false, chat = false, peer = false}
local fresh = {states = set({[spec.initial] = true}), user = false, tuples = {}}
for key, value in pairs(no_link) do
  fresh[key] = value
end
local blank = {states = every, tuples = {}}
local unknown = {} -- as a change: nothing is known of it

-- `view` with `changes`. In a state that does not hold the link there is no partner.
local function changed(view, changes)
  local result = {}
  for key, value in pairs(view) do
    result[key] = value
  end
  for key, value in pairs(changes) do
    if value == unknown then value = nil end
    result[key] = value
  end
  local only = result.states.only
  if only and not spec.linked[only] then
    for key, value in pairs(no_link) do
      result[key] = value
    end
  end
  return result
end

-- The tuples of a view when those of an outcome were added and dropped; `values` has the columns by their fields.
local function with_tuples(view, changes, values)
  local tuples = {}
  for name, texts in pairs(view.tuples) do
    tuples[name] = texts
  end
  for _, change in ipairs(changes) do
    local words, any = {}, false
    for index, field in ipairs(change.others) do
      any = any or field == true
      words[index] = field == true and "" or values[field] or "?"
    end
    local text, kept = table.concat(words, " "), {}
    for _, other in ipairs(tuples[change.relation] or {}) do
      if not (change.drop and any) and other:lower() ~= text:lower() then kept[#kept + 1] = other end
    end
    if not change.drop then kept[#kept + 1] = text end
    tuples[change.relation] = kept
  end
  return tuples
end

return {
  fresh = fresh, blank = blank, every = every, unknown = unknown, after = after, changed = changed,
  with_tuples = with_tuples,
}
