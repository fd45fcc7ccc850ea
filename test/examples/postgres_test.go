package examples_test

import (
	"fmt"
	"testing"
)

const (
	postgres    = "Postgres default/orders"
	credentials = "Secret default/orders-credentials"
	server      = "StatefulSet default/orders"

	databaseReady = "{.status.ready}"
	storage       = "{.spec.volumeClaimTemplates[0].spec.resources.requests.storage}"
	elsewhere     = "ZWxzZXdoZXJl" // in base64
)

// databaseWith are the children of the Postgres, and more.
func databaseWith(more objects) objects {
	return objects{
		credentials: {"{.type}": "kubernetes.io/basic-auth"}, "Service default/orders": nil, "Service default/orders-pods": nil, server: {"{.spec.replicas}": "1"},
	}.with(more)
}

// knowsPassword says whether the server has the password that there is now.
func knowsPassword(t *testing.T, kinds kindTable) string {
	t.Helper()
	secret, there := kinds.get(t, credentials)
	if !there {
		return credentials + " is not there"
	}
	object, there := kinds.get(t, server)
	if !there {
		return server + " is not there"
	}
	return fields{`{.spec.template.metadata.annotations.demo\.kooperd\.dev/credentials}`: string(secret.GetUID())}.compare(t, object)
}

var postgresLife = life{
	parents:   map[string][]string{"postgres": {postgres}},
	generated: map[string]string{credentials: "password"},
	steps: []step{
		{
			name:     "create",
			apply:    "objects.yaml",
			children: databaseWith(nil),
			others:   objects{postgres: {isReady: "False", databaseReady: "false", "{.status.host}": "orders.default.svc", "{.status.secretName}": "orders-credentials"}},
			check:    knowsPassword,
		},
		{
			name: "change",
			patch: map[string]string{
				server + "/status": `{"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}`,
				postgres:           `{"spec": {"clients": {"app": "shop"}, "backup": {"schedule": "0 3 * * *", "claimName": "dumps"}}}`,
			},
			children: databaseWith(objects{
				"CronJob default/orders-backup":        {"{.spec.schedule}": "0 3 * * *"},
				"NetworkPolicy default/orders-clients": {"{.spec.ingress[0].from[0].podSelector.matchLabels.app}": "shop"},
			}),
			others: objects{postgres: {isReady: "True", databaseReady: "true"}},
		},
		{
			name: "changes by hand",
			patch: map[string]string{
				credentials:              fmt.Sprintf(`{"data": {"host": %q}}`, elsewhere), // It is made once.
				server:                   `{"spec": {"replicas": 3}}`,
				"Service default/orders": `{"spec": {"selector": {"app.kubernetes.io/name": "mysql"}}}`,
			},
			remove: []string{"CronJob default/orders-backup", "Service default/orders-pods"},
			children: databaseWith(objects{
				credentials:                            {"{.data.host}": elsewhere},
				"Service default/orders":               {`{.spec.selector.app\.kubernetes\.io/name}`: "postgres"},
				"CronJob default/orders-backup":        nil,
				"NetworkPolicy default/orders-clients": nil,
			}),
			check: knowsPassword,
		},
		{
			name:  "a change that would need another volume",
			patch: map[string]string{postgres: `{"spec": {"storage": "20Gi", "clients": null}}`},
			children: databaseWith(objects{
				credentials: {"{.data.host}": elsewhere}, server: {storage: "10Gi"}, "CronJob default/orders-backup": nil,
				"NetworkPolicy default/orders-clients": nil, // Nothing is deleted while something is refused.
			}),
			others:  objects{postgres: {isReady: "False", isDegraded: "True"}},
			refused: true,
		},
		{
			name:     "another password",
			patch:    map[string]string{postgres: `{"spec": {"storage": "10Gi", "backup": null}}`},
			remove:   []string{credentials},
			children: databaseWith(objects{server: {storage: "10Gi"}}),
			others:   objects{postgres: {isDegraded: "False"}},
			check:    knowsPassword,
		},
		{
			name:   "delete",
			remove: []string{postgres},
			gone:   []string{postgres},
		},
	},
}
