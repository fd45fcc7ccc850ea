// The hook of Services with the label dashboard: each gets a ConfigMap with a dashboard for its
// ports, and an annotation that names it.
const http = require('node:http')

function sync({object}) {
  const {name} = object.metadata
  const panels = object.spec.ports.map(({port}) => ({
    title: `${name}:${port}`,
    expr: `sum(rate(http_requests_total{service="${name}",port="${port}"}[5m]))`,
  }))
  return {
    attachments: [{
      apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: `${name}-dashboard`, labels: {dashboards: 'yes'}},
      data: {'dashboard.json': JSON.stringify({title: name, panels})},
    }],
    annotations: {'example.com/dashboard': `${name}-dashboard`},
  }
}

const server = http.createServer(async (request, response) => {
  try {
    const body = (await request.toArray()).join('')
    response.end(JSON.stringify(sync(JSON.parse(body))))
  } catch (e) {
    response.writeHead(422).end(String(e))
  }
})
server.listen(7880, '127.0.0.1')
process.on('SIGINT', () => process.exit(0))
