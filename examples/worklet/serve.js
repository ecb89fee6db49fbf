/**
 * Bundles the example and serves it on this machine:
 *
 *   node examples/worklet/serve.js [--port 8000] [--no-isolation] [FOLDER ...]
 *
 * A FOLDER that `longwave export` made is served as /own/NAME/ and opened with ?checkpoint=/own/NAME/.
 * --no-isolation leaves out the headers that let a page share memory between threads.
 */
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, extname, join, normalize, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { rolldown } from 'rolldown'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = resolve(here, '..', '..')
const app = join(root, 'out', 'worklet')

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.flac': 'audio/flac',
  '.wav': 'audio/wav',
}

const { values, positionals } = parse()
if (!existsSync(join(root, 'dist'))) refuse('Longwave was not built yet: npm run build')
const folders = {
  '/app/': app,
  '/checkpoints/': join(root, 'checkpoints'),
  '/samples/': join(root, 'samples'),
  ...Object.fromEntries(
    positionals.map((path) => [`/own/${basename(resolve(path))}/`, resolve(path)]),
  ),
  '/': here,
}

await bundle()
const server = createServer(answer)
server.on('error', (error) => refuse(`Port ${values.port} cannot be used: ${error.message}`))
server.listen(Number(values.port), '127.0.0.1', () => {
  const home = `http://localhost:${server.address().port}/`
  console.log(home)
  for (const path of Object.keys(folders).filter((path) => path.startsWith('/own/'))) {
    console.log(`${home}?checkpoint=${path}`)
  }
})

/** Workers have no import maps, so the packages that Longwave imports by name are bundled. */
async function bundle() {
  const names = ['page', 'worker', 'player']
  const build = await rolldown({
    input: Object.fromEntries(names.map((name) => [name, join(here, `${name}.ts`)])),
    platform: 'browser',
    cwd: root,
  })
  await build.write({ dir: app, format: 'esm', cleanDir: true })
  await build.close()
}

function answer(request, response) {
  const path = fileOf(new URL(request.url, 'http://localhost').pathname)
  const headers = {
    'Content-Type': TYPES[extname(path ?? '')] ?? 'application/octet-stream',
    'Cache-Control': 'no-cache',
    ...(values.isolation && {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    }),
  }
  if (path === undefined) {
    response
      .writeHead(404, { ...headers, 'Content-Type': 'text/plain' })
      .end('There is no such file.')
    return
  }
  response.writeHead(200, { ...headers, 'Content-Length': statSync(path).size })
  createReadStream(path).pipe(response)
}

/** The file of an address, if it lies in one of the folders. */
function fileOf(address) {
  const name = address === '/' ? '/index.html' : address.replaceAll('%20', ' ')
  const [start, folder] = Object.entries(folders).find(([prefix]) => name.startsWith(prefix))
  const path = normalize(join(folder, name.slice(start.length)))
  const isInside = path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
  return isInside && statSync(path, { throwIfNoEntry: false })?.isFile() ? path : undefined
}

function parse() {
  try {
    return parseArgs({
      options: {
        port: { type: 'string', default: '8000' },
        isolation: { type: 'boolean', default: true },
      },
      allowPositionals: true,
      allowNegative: true,
    })
  } catch (error) {
    return refuse(error.message)
  }
}

function refuse(message) {
  console.error(message)
  process.exit(2)
}
