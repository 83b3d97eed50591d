import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// `npm run dev -w console` proxies the API of a Carillon that runs on its default port.
const api = 'http://127.0.0.1:8080'
const proxy = Object.fromEntries(['/api', '/healthz', '/readyz', '/docs', '/openapi.json'].map((path) => [path, api]))

export default defineConfig({
  base: '/',
  plugins: [react()],
  build: { outDir: 'dist', emptyOutDir: true },
  server: { host: '127.0.0.1', proxy },
})
