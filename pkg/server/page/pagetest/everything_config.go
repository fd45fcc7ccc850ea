package pagetest

// websiteConfig is the definition website, as its page shows it.
const websiteConfig = `handler:
  apply:
    children:
      page:
        template:
          apiVersion: v1
          data:
            index.html: ${object.spec.html}
          kind: ConfigMap
          metadata:
            name: ${object.metadata.name}-page
      server:
        ignore:
        - spec.replicas
        template:
          apiVersion: apps/v1
          kind: Deployment
          metadata:
            name: ${object.metadata.name}
          spec:
            template:
              spec:
                containers:
                - env:
                  - name: TOKEN
                    value: '[REDACTED]'
                  image: registry.example/web:1.4
                  name: web
leaderElection: required
mode: concurrent
onRemove: retain
paused: false
resync: "off"
retry:
  initialDelay: 5ms
  maxDelay: 5m
  maxRetries: unlimited
status: own
timeout: 1m
watch:
  apiVersion: demo.kooperd.dev/v1
  kind: Website
workers: 8
`
