// `npm run role -- <name>`: one role as a process of its own, for an installation on several machines.

const roles = ['api', 'worker', 'gateway', 'migrate']

const role = process.argv[2] ?? ''
if (roles.includes(role)) await import(`./${role}.ts`)
else {
  console.error(`npm run role -- <name>, where the name is one of ${roles.join(', ')} (docs/operations.md)`)
  process.exitCode = 2
}
