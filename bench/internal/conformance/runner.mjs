// Runs the tests of http-cache-tests through one or several instances, and writes the outcome of each to a file as JSON.
//
//   node runner.mjs FOLDER FILE BASES [ID]
//
// FOLDER has the suite. BASES are the instances' URLs, with commas between: each request of a test goes to the next of them. With an ID only
// that test is run, and its requests and responses are printed.
import { createRequire } from 'node:module'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, file, list, id] = process.argv.slice(2)
const load = path => import(pathToFileURL(join(folder, path)).href)
const { runTests, getResults } = await load('client/runner.mjs')
const { determineTestResult } = await load('lib/display.mjs')
const suites = [...(await load('tests/index.mjs')).default, (await load('tests/surrogate-control.mjs')).default]
const fetch = createRequire(join(folder, 'package.json'))('node-fetch')

const patience = 30_000 // milliseconds that a response may take
const bases = list.split(',')

// The second part of a path is the test's: /config/X, /test/X/..., /state/X. Turns are kept for each test, so that its requests
// alternate whatever other tests do at the same time; which instance is first differs from test to test.
const turns = new Map()
function inTurn (url, init) {
  const path = url.slice(bases[0].length)
  const test = path.split(/[/?]/)[2]
  const turn = turns.get(test) ?? turns.size
  turns.set(test, turn + 1)
  return fetch(bases[turn % bases.length] + path, { ...init, timeout: patience })
}

// The suite tells outcomes by a symbol for people.
const outcomes = {
  '✅': 'pass',
  '⛔️': 'fail',
  '⚠️': 'optional_fail',
  Y: 'yes',
  N: 'no',
  '🔹': 'setup_fail',
  '⁉️': 'harness_fail',
  '⚪️': 'dependency_fail',
  '↻': 'retry',
  '-': 'untested'
}

const selected = suites
  .map(suite => ({ ...suite, tests: suite.tests.filter(test => !test.browser_only && (!id || test.id === id)) }))
  .filter(suite => suite.tests.length > 0)
if (id) selected.forEach(suite => suite.tests.forEach(test => { test.dump = true }))

await runTests(selected, inTurn, false, bases[0])
const results = getResults()
const outcome = (test, withDependencies) => outcomes[determineTestResult(suites, test.id, results, withDependencies)[2]] ?? 'unknown'

const told = selected.flatMap(suite => suite.tests.map(test => {
  const result = results[test.id]
  const failed = (test.depends_on ?? []).filter(other => !['pass', 'yes'].includes(outcomes[determineTestResult(suites, other, results)[2]]))
  let why = ''
  if (Array.isArray(result)) why = ['Assertion', 'Setup'].includes(result[0]) ? result[1] : result.join(': ')
  return {
    id: test.id,
    suite: suite.id,
    name: test.name,
    kind: test.kind ?? 'required',
    outcome: outcome(test, !id),
    why,
    failed: id ? [] : failed
  }
}))
writeFileSync(file, JSON.stringify(told))
