import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// `npm run dev -w console` proxies the API of a Carillon that runs on its default port.
const api = 'http://127.0.0.1:8080'
// The API rejects writes of pages of another origin, so `Host` must be that of the page.
const target = { target: api, changeOrigin: false }
const paths = ['/api', '/healthz', '/readyz', '/docs', '/openapi.json']
const proxy = Object.fromEntries(paths.map((path) => [path, target]))

export default defineConfig({
  base: '/',
  plugins: [react()],
  build: { outDir: 'dist', emptyOutDir: true },
  server: { host: '127.0.0.1', proxy },
})
