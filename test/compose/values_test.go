package compose_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// writtenOtherwise are children that the API server stores otherwise than they are written: without
// name, which is made of the key, apiVersion and kind first.
var writtenOtherwise = map[string]string{
	"empty map":             `v1 ConfigMap {"data": {}}`,
	"null":                  `v1 ConfigMap {"data": null}`,
	"null in a map":         `v1 ConfigMap {"data": {"a": "x", "b": null}}`,
	"empty text":            `v1 ConfigMap {"data": {"a": ""}}`,
	"nothing but a name":    `v1 ConfigMap {}`,
	"immutable false":       `v1 ConfigMap {"immutable": false, "data": {"a": "x"}}`,
	"creationTimestamp":     `v1 ConfigMap {"metadata": {"creationTimestamp": null}}`,
	"empty labels":          `v1 ConfigMap {"metadata": {"labels": {}, "annotations": {}}}`,
	"null labels":           `v1 ConfigMap {"metadata": {"labels": null, "annotations": null, "finalizers": null}}`,
	"empty label":           `v1 ConfigMap {"metadata": {"labels": {"empty": ""}, "annotations": {"empty": ""}}}`,
	"empty finalizers":      `v1 ConfigMap {"metadata": {"finalizers": []}}`,
	"empty owners":          `v1 ConfigMap {"metadata": {"ownerReferences": []}}`,
	"stringData":            `v1 Secret {"stringData": {"a": "x"}}`,
	"stringData and data":   `v1 Secret {"data": {"b": "eA=="}, "stringData": {"a": "x"}}`,
	"type of a Secret":      `v1 Secret {"type": "Opaque", "data": {"a": ""}}`,
	"port without protocol": `v1 Service {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}`,
	"several ports":         `v1 Service {"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]}}`,
	"number as targetPort":  `v1 Service {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}`,
	"text as targetPort":    `v1 Service {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}`,
	"status":                `v1 Service {"spec": {"ports": [{"port": 80}]}, "status": {}}`,
	"load balancer status":  `v1 Service {"spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {}}}`,
	"headless":              `v1 Service {"spec": {"clusterIP": "None", "ports": []}}`,
	"quantities":            `v1 Pod {"spec": {"containers": [{"name": "a", "image": "a", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": "0.5", "memory": "0.5Gi"}}}]}}`,
	"numbers as quantities": `v1 Pod {"spec": {"containers": [{"name": "a", "image": "a", "resources": {"limits": {"cpu": 1, "memory": 1000000}}}]}}`,
	"no resources":          `v1 Pod {"spec": {"containers": [{"name": "a", "image": "a", "resources": {}}]}}`,
	"fieldRef":              `v1 Pod {"spec": {"containers": [{"name": "a", "image": "a", "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "E", "value": ""}]}]}}`,
	"emptyDir":              `v1 Pod {"spec": {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "a", "image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}}`,
	"securityContext":       `v1 Pod {"spec": {"securityContext": {}, "hostNetwork": false, "containers": [{"name": "a", "image": "a", "securityContext": {"capabilities": {}}}]}}`,
	"probe":                 `v1 Pod {"spec": {"containers": [{"name": "a", "image": "a", "livenessProbe": {"httpGet": {"port": "http", "httpHeaders": []}}}]}}`,
	"intOrString":           `apps/v1 Deployment {"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}, "template": {"metadata": {"creationTimestamp": null, "labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}, "status": {}}`,
	"empty strategy":        `apps/v1 Deployment {"spec": {"selector": {"matchLabels": {"a": "b"}}, "strategy": {}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a", "ports": [{"containerPort": 80}]}]}}}}`,
	"claim templates":       `apps/v1 StatefulSet {"spec": {"serviceName": "", "selector": {"matchLabels": {"a": "b"}}, "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}}], "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}}`,
	"everything selected":   `networking.k8s.io/v1 NetworkPolicy {"spec": {"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]}}`,
	"empty matchLabels":     `networking.k8s.io/v1 NetworkPolicy {"spec": {"podSelector": {"matchLabels": {}}, "egress": [], "ingress": [{"ports": [{"port": 80}]}]}}`,
	"minAvailable":          `policy/v1 PodDisruptionBudget {"spec": {"minAvailable": "50%", "selector": {"matchLabels": {}}}}`,
	"schedule":              `batch/v1 CronJob {"spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}}}}`,
	// The Pods are not counted by it: one that is made later than it would have to have limits.
	"quota":           `v1 ResourceQuota {"spec": {"scopes": ["Terminating"], "hard": {"pods": "1k", "requests.cpu": "1000", "limits.memory": "1.5Ti"}}}`,
	"no rules":        `rbac.authorization.k8s.io/v1 Role {"rules": null}`,
	"subject":         `rbac.authorization.k8s.io/v1 RoleBinding {"subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}, {"kind": "User", "name": "c"}], "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}}`,
	"admission":       `v1 ConfigMap {"data": {"admitted": "asked"}}`,
	"custom defaults": `facts.kooperd.dev/v1 Fact {"spec": {}}`,
	"custom null":     `facts.kooperd.dev/v1 Fact {"spec": {"maybe": null, "mode": null}}`,
	"custom empty":    `facts.kooperd.dev/v1 Fact {"spec": {"free": {}, "list": [], "ports": []}}`,
	"custom list":     `facts.kooperd.dev/v1 Fact {"spec": {"n": 3, "size": "1000m", "port": "80", "ports": [{"port": 1}, {"port": 1, "protocol": "UDP", "name": ""}]}}`,
	"custom float":    `facts.kooperd.dev/v1 Fact {"spec": {"n": 3.0, "size": 1, "port": 80}, "status": {"ready": "no"}}`,
	"custom unknown":  `facts.kooperd.dev/v1 Fact {"status": {}, "spec": {"a": ""}}`,
}

// writtenChildren makes children of the table, and the kinds that they are of.
func writtenChildren(t *testing.T) (children []parts.Child, owns []parts.Owns, keys map[string]string) {
	t.Helper()
	keys = map[string]string{}
	kinds := map[parts.Owns]bool{}
	for i, key := range slices.Sorted(maps.Keys(writtenOtherwise)) {
		words := strings.SplitN(writtenOtherwise[key], " ", 3)
		content := object(t, words[2])
		content["apiVersion"], content["kind"] = words[0], words[1]
		metadata, _ := content["metadata"].(map[string]any)
		if metadata == nil {
			metadata = map[string]any{}
		}
		name := fmt.Sprintf("v%02d", i)
		metadata["name"] = "{name}-" + name
		content["metadata"] = metadata
		keys["p-"+name] = key
		children = append(children, parts.Child{Name: key, Object: content})
		if kind := (parts.Owns{APIVersion: words[0], Kind: words[1]}); !kinds[kind] {
			kinds[kind] = true
			owns = append(owns, kind)
		}
	}
	return children, owns, keys
}

// TestWrittenOtherwise has children that are stored otherwise than they are written. A second pass
// writes nothing, and neither does another process.
func TestWrittenOtherwise(t *testing.T) {
	t.Parallel()
	shared.Apply(t, factsDefinition)
	r := newRig(t)
	mutateConfigMaps(t, r.namespace, "admitted", "changed")
	children, owns, keys := writtenChildren(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: children, Owns: owns}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	p.settle(t, "p")
	made := map[string]bool{}
	for _, w := range r.writes(t, r.begun) {
		if key := keys[w.name]; key != "" && w.code >= 300 {
			t.Errorf("%s: making it was refused: %s", key, w)
		}
		made[w.name] = true
	}
	for name, key := range keys {
		if !made[name] {
			t.Errorf("%s: it was not made", key)
		}
	}
	p.settle(t, "p") // What changed an object after it was made has done so.

	again := func(when string, mark []sent) {
		t.Helper()
		for _, w := range mark {
			key := keys[w.name]
			if key == "" {
				key = "the parent"
			}
			t.Errorf("%s: it was written again %s: %s", key, when, w)
		}
	}
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	again("by a second pass", r.writes(t, mark))
	p.kill9(t)
	mark = shared.AuditMark(t)
	p = r.start(t)
	p.settle(t, "p")
	again("after a restart", r.writes(t, mark))
}
