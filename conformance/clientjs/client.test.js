// Every method of the resources of the npm client `openwhisk`, against the
// server that __OW_API_HOST names, with the key in __OW_API_KEY. ADD_WASM names a
// module that adds param1 and param2.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { after, before, test } = require('node:test')
const openwhisk = require('openwhisk')

const ow = openwhisk({ ignore_certs: true })
const code = fs.readFileSync(process.env.ADD_WASM)
const kind = 'wasm:0.1'

// Names are this run's own, so that a server with other contents will do.
const run = `js${process.pid}`
const name = suffix => `${run}-${suffix}`
const add = suffix => ow.actions.create({ name: name(suffix), kind, action: code })

const status = expected => error => {
  assert.equal(error.statusCode, expected, error.message)
  assert.equal(typeof error.error.error, 'string', 'the body has an error')
  assert.equal(typeof error.error.code, 'string', 'the body has a transaction id')
  return true
}

// eventually asks until an answer will do.
async function eventually (ask) {
  for (let left = 100; ; left--) {
    try {
      return await ask()
    } catch (error) {
      if (left === 0) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

before(() => add('shared'))
after(() => ow.actions.delete(name('shared')))

test('actions: create, get, update, list, delete', async () => {
  const created = await ow.actions.create({
    name: name('life'), kind, action: code, params: { param1: 1 }, annotations: { note: 'mine' }, limits: { memory: 64 }
  })
  assert.equal(created.namespace, 'guest')
  assert.equal(created.version, '0.0.1')
  assert.equal(created.exec.kind, kind)
  assert.equal(created.exec.binary, true)
  assert.equal(created.limits.memory, 64)
  assert.deepEqual(created.parameters, [{ key: 'param1', value: 1 }])
  assert.deepEqual(created.annotations.find(a => a.key === 'note'), { key: 'note', value: 'mine' })
  await assert.rejects(add('life'), status(409))

  const got = await ow.actions.get(name('life'))
  assert.equal(got.exec.code, code.toString('base64'))
  const bare = await ow.actions.get({ name: name('life'), code: false })
  assert.equal(bare.exec.code, undefined)
  assert.equal((await ow.actions.get(`/guest/${name('life')}`)).name, name('life'))
  assert.deepEqual((await ow.actions.get([{ name: name('life') }, { name: name('shared') }])).map(a => a.name), [name('life'), name('shared')])

  const updated = await ow.actions.update({ name: name('life'), params: { param2: 2 } })
  assert.equal(updated.version, '0.0.2')
  assert.deepEqual(updated.parameters, [{ key: 'param2', value: 2 }])

  const listed = await ow.actions.list({ limit: 200 })
  assert.ok(listed.some(a => a.name === name('life') && a.version === '0.0.2'))
  assert.equal((await ow.actions.list({ limit: 1 })).length, 1)
  const counted = await ow.actions.list({ count: true })
  assert.ok(counted.actions >= 2)
  await assert.rejects(ow.actions.list({ limit: 201 }), status(400))

  const deleted = await ow.actions.delete(name('life'))
  assert.equal(deleted.name, name('life'))
  await assert.rejects(ow.actions.get(name('life')), status(404))
  await assert.rejects(ow.actions.delete(name('life')), status(404))
})

test('actions: invoke', async () => {
  const params = { param1: 5, param2: 4 }
  const record = await ow.actions.invoke({ name: name('shared'), blocking: true, params })
  assert.deepEqual(record.response.result, { result: 9 })
  assert.equal(record.response.status, 'success')
  assert.match(record.activationId, /^[0-9a-f]{32}$/)
  assert.equal(record.name, name('shared'))

  assert.deepEqual(await ow.actions.invoke({ name: name('shared'), blocking: true, result: true, params }), { result: 9 })

  const { activationId } = await ow.actions.invoke({ name: name('shared'), params })
  const later = await eventually(() => ow.activations.get(activationId))
  assert.deepEqual(later.response.result, { result: 9 })

  await assert.rejects(ow.actions.invoke({ name: name('shared'), blocking: true, params: { param1: 'x' } }), status502)
  await assert.rejects(ow.actions.invoke({ name: name('absent'), blocking: true }), status(404))
})

// A failed activation answers with its record.
function status502 (error) {
  assert.equal(error.statusCode, 502)
  assert.equal(error.error.response.status, 'application error')
  return true
}

test('actions: sequence', async () => {
  await ow.actions.create({ name: name('sequence'), sequence: [`/_/${name('shared')}`] })
  const got = await ow.actions.get(name('sequence'))
  assert.equal(got.exec.kind, 'sequence')
  assert.deepEqual(got.exec.components, [`/guest/${name('shared')}`])
  const record = await ow.actions.invoke({ name: name('sequence'), blocking: true, params: { param1: 1, param2: 2 } })
  assert.deepEqual(record.response.result, { result: 3 })
  assert.equal(record.logs.length, 1, 'the activation of its component')
  const component = await eventually(() => ow.activations.get(record.logs[0]))
  assert.equal(component.cause, record.activationId)
  await ow.actions.delete(name('sequence'))
})

test('activations: list, get, logs, result', async () => {
  const since = Date.now()
  const { activationId } = await ow.actions.invoke({ name: name('shared'), blocking: true, params: { param1: 2, param2: 3 } })
  assert.deepEqual((await ow.activations.result(activationId)).result, { result: 5 })
  assert.deepEqual(await ow.activations.logs({ name: activationId }), { logs: [] })
  const [summary] = (await ow.activations.list({ since, limit: 200 })).filter(a => a.activationId === activationId)
  assert.equal(summary.statusCode, 0)
  assert.equal(summary.response, undefined)
  const [full] = (await ow.activations.list({ since, docs: true, limit: 200 })).filter(a => a.activationId === activationId)
  assert.deepEqual(full.response.result, { result: 5 })
  const named = await ow.activations.list({ name: name('shared'), limit: 200 })
  assert.ok(named.length >= 1 && named.every(a => a.name === name('shared')))
  const counted = await ow.activations.list({ name: name('shared'), count: true })
  assert.ok(counted.activations >= 1)
  assert.deepEqual(await ow.activations.list({ upto: 1 }), [])
  await assert.rejects(ow.activations.get('0'.repeat(32)), status(404))
  await assert.rejects(ow.activations.get('short'), status(400))
})

test('packages: create, get, update, list, bind, delete', async () => {
  const created = await ow.packages.create({ name: name('pkg'), package: { parameters: [{ key: 'param1', value: 10 }] } })
  assert.deepEqual(created.binding, {})
  await ow.actions.create({ name: `${name('pkg')}/add`, kind, action: code })
  const got = await ow.packages.get(name('pkg'))
  assert.deepEqual(got.actions.map(a => a.name), ['add'])
  const record = await ow.actions.invoke({ name: `${name('pkg')}/add`, blocking: true, params: { param2: 1 } })
  assert.deepEqual(record.response.result, { result: 11 })
  assert.ok(record.annotations.some(a => a.key === 'path' && a.value === `guest/${name('pkg')}/add`))

  await ow.packages.create({
    name: name('bound'), package: { binding: { namespace: '_', name: name('pkg') }, parameters: [{ key: 'param1', value: 20 }] }
  })
  assert.deepEqual(
    await ow.actions.invoke({ name: `${name('bound')}/add`, blocking: true, result: true, params: { param2: 1 } }), { result: 21 })
  await ow.packages.delete(name('bound'))

  const updated = await ow.packages.update({ name: name('pkg'), package: { publish: true } })
  assert.equal(updated.publish, true)
  assert.equal(updated.version, '0.0.2')
  assert.ok((await ow.packages.list({ limit: 200 })).some(p => p.name === name('pkg')))
  assert.ok((await ow.packages.list({ count: true })).packages >= 1)
  await assert.rejects(ow.packages.delete(name('pkg')), status(409))
  await ow.actions.delete(`${name('pkg')}/add`)
  await ow.packages.delete(name('pkg'))
  await assert.rejects(ow.packages.get(name('pkg')), status(404))
  assert.throws(() => ow.packages.invoke(name('pkg')))
})

test('triggers and rules', async () => {
  const trigger = await ow.triggers.create({ name: name('trigger'), trigger: { parameters: [{ key: 'param1', value: 1 }] } })
  assert.deepEqual(trigger.parameters, [{ key: 'param1', value: 1 }])
  assert.equal((await ow.triggers.update({ name: name('trigger') })).version, '0.0.2')

  const rule = await ow.rules.create({ name: name('rule'), trigger: name('trigger'), action: name('shared') })
  assert.equal(rule.status, 'active')
  assert.deepEqual(rule.action, { path: 'guest', name: name('shared') })
  const got = await ow.triggers.get(name('trigger'))
  assert.equal(got.rules[`guest/${name('rule')}`].status, 'active')

  const { activationId } = await ow.triggers.invoke({ name: name('trigger'), params: { param2: 6 } })
  const fired = await eventually(() => ow.activations.get(activationId))
  const [outcome] = fired.logs.map(JSON.parse)
  assert.equal(outcome.success, true)
  assert.equal(outcome.rule, `guest/${name('rule')}`)
  const ran = await eventually(() => ow.activations.get(outcome.activationId))
  assert.deepEqual(ran.response.result, { result: 7 })

  await ow.rules.disable({ name: name('rule') })
  assert.equal((await ow.rules.get(name('rule'))).status, 'inactive')
  assert.equal((await ow.triggers.invoke({ name: name('trigger') })).length, 0, 'no rule is active: an empty answer')
  await ow.rules.enable({ name: name('rule') })
  assert.equal((await ow.rules.get(name('rule'))).status, 'active')
  assert.equal((await ow.rules.update({ name: name('rule'), trigger: name('trigger'), action: name('shared') })).version, '0.0.2')
  assert.ok((await ow.rules.list({ limit: 200 })).some(r => r.name === name('rule')))
  assert.ok((await ow.rules.list({ count: true })).rules >= 1)
  assert.throws(() => ow.rules.invoke(name('rule')))
  await ow.rules.delete(name('rule'))

  assert.ok((await ow.triggers.list({ limit: 200 })).some(t => t.name === name('trigger')))
  assert.ok((await ow.triggers.list({ count: true })).triggers >= 1)
  await ow.triggers.delete(name('trigger'))
  await assert.rejects(ow.triggers.get(name('trigger')), status(404))
  await assert.rejects(ow.rules.get(name('rule')), status(404))
})

test('namespaces: list, get', async () => {
  assert.deepEqual(await ow.namespaces.list(), ['guest'])
  const contents = await ow.namespaces.get('_')
  assert.deepEqual(Object.keys(contents).sort(), ['actions', 'packages', 'rules', 'triggers'])
  assert.ok(contents.actions.some(a => a.name === name('shared')))
})

test('a wrong key is refused', async () => {
  const stranger = openwhisk({ api_key: '00000000-0000-0000-0000-000000000000:wrong', ignore_certs: true })
  await assert.rejects(stranger.actions.list(), status(401))
})
