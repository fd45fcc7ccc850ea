package compose

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestReadyByKind(t *testing.T) {
	kind := func(group, name string) schema.GroupKind { return schema.GroupKind{Group: group, Kind: name} }
	deployment, stateful, replicaSet, daemons := kind("apps", "Deployment"), kind("apps", "StatefulSet"), kind("apps", "ReplicaSet"), kind("apps", "DaemonSet")
	job, crd, pod := kind("batch", "Job"), kind("apiextensions.k8s.io", "CustomResourceDefinition"), kind("", "Pod")
	tests := map[string]struct {
		kind schema.GroupKind
		tree string
		why  string // empty: ready
	}{
		"a ConfigMap":                    {kind: kind("", "ConfigMap"), tree: `{}`},
		"a Deployment that is new":       {kind: deployment, tree: `{"metadata": {"generation": 1}}`, why: "its controller has not seen it yet"},
		"a Deployment that was changed":  {kind: deployment, tree: `{"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}}`, why: "its controller has seen generation 1 and not yet 2"},
		"a Deployment of one":            {kind: deployment, tree: `{"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1}}`},
		"a Deployment that rolls out":    {kind: deployment, tree: `{"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 3}}`, why: "2 of 3 updatedReplicas"},
		"a Deployment that starts":       {kind: deployment, tree: `{"spec": {"replicas": 3}, "status": {"observedGeneration": 2, "updatedReplicas": 3, "availableReplicas": 1}}`, why: "1 of 3 availableReplicas"},
		"a Deployment of none":           {kind: deployment, tree: `{"spec": {"replicas": 0}, "status": {"observedGeneration": 2}}`},
		"a StatefulSet that starts":      {kind: stateful, tree: `{"status": {"observedGeneration": 1, "updatedReplicas": 1}}`, why: "0 of 1 readyReplicas"},
		"a StatefulSet":                  {kind: stateful, tree: `{"status": {"observedGeneration": 1, "updatedReplicas": 1, "readyReplicas": 1}}`},
		"a ReplicaSet that starts":       {kind: replicaSet, tree: `{"spec": {"replicas": 2}, "status": {"observedGeneration": 1, "replicas": 2, "readyReplicas": 1}}`, why: "1 of 2 readyReplicas"},
		"a ReplicationController":        {kind: kind("", "ReplicationController"), tree: `{"status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1}}`},
		"a DaemonSet that is new":        {kind: daemons, tree: `{}`, why: "its controller has not seen it yet"},
		"a DaemonSet that rolls out":     {kind: daemons, tree: `{"status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}}`, why: "1 of 2 updatedNumberScheduled"},
		"a DaemonSet that starts":        {kind: daemons, tree: `{"status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}}`, why: "0 of 2 numberAvailable"},
		"a DaemonSet on no node":         {kind: daemons, tree: `{"status": {"observedGeneration": 1}}`},
		"a Job that runs":                {kind: job, tree: `{"status": {"active": 1}}`, why: "it has no condition Complete yet"},
		"a Job that is done":             {kind: job, tree: `{"status": {"conditions": [{"type": "Complete", "status": "True"}]}}`},
		"a Job that has failed":          {kind: job, tree: `{"status": {"conditions": [{"type": "Failed", "status": "True", "message": "x"}]}}`, why: "it has failed: x"},
		"a Pod that starts":              {kind: pod, tree: `{"status": {"phase": "Pending"}}`, why: "it has no condition Ready yet"},
		"a Pod that is not ready":        {kind: pod, tree: `{"status": {"conditions": [{"type": "Ready", "status": "False", "message": "crashed"}]}}`, why: "its condition Ready is False: crashed"},
		"a Pod":                          {kind: pod, tree: `{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}`},
		"a Pod that is done":             {kind: pod, tree: `{"status": {"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False"}]}}`},
		"a claim that waits":             {kind: kind("", "PersistentVolumeClaim"), tree: `{"status": {"phase": "Pending"}}`, why: `its phase is "Pending" and not Bound`},
		"a claim":                        {kind: kind("", "PersistentVolumeClaim"), tree: `{"status": {"phase": "Bound"}}`},
		"a Namespace that ends":          {kind: kind("", "Namespace"), tree: `{"status": {"phase": "Terminating"}}`, why: `its phase is "Terminating" and not Active`},
		"a Namespace":                    {kind: kind("", "Namespace"), tree: `{"status": {"phase": "Active"}}`},
		"a definition that is new":       {kind: crd, tree: `{}`, why: "it has no condition Established yet"},
		"a definition":                   {kind: crd, tree: `{"status": {"conditions": [{"type": "Established", "status": "True"}]}}`},
		"a Service":                      {kind: kind("", "Service"), tree: `{"spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}}`},
		"a Service without an address":   {kind: kind("", "Service"), tree: `{"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}}`, why: "it has no address yet"},
		"a Service with an address":      {kind: kind("", "Service"), tree: `{"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}`},
		"any kind":                       {kind: kind("x.org", "X"), tree: `{"metadata": {"generation": 3}}`},
		"any kind that is ready":         {kind: kind("x.org", "X"), tree: `{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}`},
		"any kind that is not ready":     {kind: kind("x.org", "X"), tree: `{"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}`, why: "its condition Ready is Unknown"},
		"any kind, seen in an old state": {kind: kind("x.org", "X"), tree: `{"metadata": {"generation": 3}, "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}}`, why: "its controller has seen generation 2 and not yet 3"},
		"any kind with a condition about an old state": {
			kind: kind("x.org", "X"), why: "its condition Ready is about generation 2 and not yet 3",
			tree: `{"metadata": {"generation": 3}, "status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 2}]}}`,
		},
		"any kind with a damaged status": {kind: kind("x.org", "X"), tree: `{"status": {"observedGeneration": "x", "conditions": [1, {"type": 2}]}}`},
		"a Deployment of another group":  {kind: kind("x.org", "Deployment"), tree: `{}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ready, why := readyByKind(tc.kind, treeFrom(t, tc.tree))
			if why != tc.why || ready != (tc.why == "") {
				t.Errorf("ready is %v: %q, want %q", ready, why, tc.why)
			}
		})
	}
}

func TestReadyByPolicy(t *testing.T) {
	c := newCluster()
	d := desire(t, website, handlers.Child{Name: "server", Object: untyped(deploymentKind, "", "server", nil)})[0]
	if err := c.execute(Plan(Input{Installation: installation, Definition: definition, Parent: website, Desired: []*Desired{d}})); err != nil {
		t.Fatal(err)
	}
	whole, metadata := c.observed(t, website, nil)[0], c.observed(t, website, nil, deploymentKind.GroupKind())[0]
	if ready, why := whole.Ready(d); ready || why != "its controller has not seen it yet" {
		t.Errorf("by its kind, ready is %v: %q", ready, why)
	}
	if ready, why := metadata.Ready(d); !ready || why != "" {
		t.Errorf("of the metadata alone, ready is %v: %q", ready, why)
	}
	d.Policy.Ready = func(o handlers.Object) (bool, string) { return false, "it is called " + o.Name() }
	for _, o := range []*Observed{whole, metadata} {
		if ready, why := o.Ready(d); ready || why != "it is called server" {
			t.Errorf("by its policy, ready is %v: %q", ready, why)
		}
	}
}
