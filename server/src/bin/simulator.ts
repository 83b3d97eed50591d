import { startSimulator } from '../simulator/simulator.ts'
import { runProcess } from './role.ts'

// the simulator never uses the database
await runProcess('simulator', async (given) => {
  const { smppPort, controlPort, stop } = await startSimulator(given)
  return { ready: { smppPort, controlPort }, stop }
})
