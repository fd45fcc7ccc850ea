package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/test/bench/order"
	"kooperd.dev/kooperd/test/cluster"
)

// manyKinds are built-in kinds that every program knows; the first one is that of the rows on one
// kind.
var manyKinds = []order.Kind{
	pods,
	{Version: "v1", Kind: "ConfigMap", Resource: "configmaps"},
	{Version: "v1", Kind: "Secret", Resource: "secrets"},
	{Version: "v1", Kind: "Service", Resource: "services"},
	{Version: "v1", Kind: "ServiceAccount", Resource: "serviceaccounts"},
	{Version: "v1", Kind: "Namespace", Resource: "namespaces"},
	{Version: "v1", Kind: "Node", Resource: "nodes"},
	{Version: "v1", Kind: "PersistentVolume", Resource: "persistentvolumes"},
	{Version: "v1", Kind: "PersistentVolumeClaim", Resource: "persistentvolumeclaims"},
	{Version: "v1", Kind: "ResourceQuota", Resource: "resourcequotas"},
	{Group: "apps", Version: "v1", Kind: "Deployment", Resource: "deployments"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet", Resource: "replicasets"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet", Resource: "daemonsets"},
	{Group: "batch", Version: "v1", Kind: "Job", Resource: "jobs"},
	{Group: "batch", Version: "v1", Kind: "CronJob", Resource: "cronjobs"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Resource: "ingresses"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", Resource: "networkpolicies"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role", Resource: "roles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Resource: "clusterroles"},
}

// few is the fixture of the rows that count requests.
var few = fixture{shape: smallPods, objects: 10, audit: true}

// Measures of the rows about requests.
const (
	measureLeader   = "requests per minute of the leader"
	measureStandby  = "requests per minute of the standby"
	measurePolls    = "those of the standby that are no watches"
	measureReady    = "start to ready"
	measureRequests = "API requests, until settled"
)

// idleRow is a row in which nothing happens to two replicas; those of the bare informer have no
// lease.
func idleRow(name, title string, kinds []order.Kind) row {
	o := order.Order{Kinds: kinds, Definitions: 20, View: order.Typed, Work: order.Nothing, LeaseNamespace: namespace}
	return row{
		name: name, title: title, fixture: few, measured: programs,
		measures: []measure{
			{name: measureLeader, unit: perMinute},
			{name: measureStandby, unit: perMinute},
			{name: measurePolls, unit: perMinute, targets: []target{{factor: 0}}},
		},
		together: func(ctx context.Context, s *scene) (readings, error) { return s.countIdle(ctx, o) },
	}
}

// replica is a program that the API server knows by its user.
type replica struct {
	*process
	user string
}

// countIdle runs a leader and a standby of each program and counts their requests when they have
// settled.
func (s *scene) countIdle(ctx context.Context, o order.Order) (readings, error) {
	var running []replica // all leaders, then all standbys
	err := s.startReplicas(ctx, o, &running)
	from := time.Now()
	if err == nil {
		err = pause(ctx, s.idle)
	}
	to := time.Now()
	for _, r := range slices.Backward(running) { // The standbys first, so that they never lead.
		err = errors.Join(err, r.stop())
	}
	if err != nil {
		return nil, err
	}
	all, err := s.requests(ctx, from, to)
	if err != nil {
		return nil, err
	}
	got, minutes := readings{}, to.Sub(from).Minutes()
	for _, r := range running {
		requests := all[r.user]
		if got[r.program] == nil {
			got[r.program] = map[string]float64{measureLeader: float64(len(requests)) / minutes}
			continue
		}
		polls := slices.DeleteFunc(slices.Clone(requests), func(e cluster.AuditEvent) bool { return e.Verb == "watch" })
		got[r.program][measureStandby], got[r.program][measurePolls] = float64(len(requests))/minutes, float64(len(polls))/minutes
	}
	return got, nil
}

// startReplicas starts all leaders, and when they have settled all standbys, and waits until these
// have settled, too.
func (s *scene) startReplicas(ctx context.Context, o order.Order, running *[]replica) error {
	for range 2 {
		for _, p := range programs {
			user := s.newUser()
			proc, err := s.startAs(p, o, user)
			if err != nil {
				return err
			}
			*running = append(*running, replica{process: proc, user: user})
		}
		if err := pause(ctx, min(s.idle/3, 30*time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// startupRow is a row in which definitions on one kind start with few objects.
func startupRow(definitions int) row {
	o := order.Order{Kinds: []order.Kind{pods}, Definitions: definitions, Objects: few.objects, View: order.Typed, Work: order.Nothing}
	return row{
		name: fmt.Sprintf("startup-%d", definitions), title: fmt.Sprintf("%s on 1 kind with %d objects", count(definitions, "definition"), few.objects),
		fixture: few, measured: programs,
		measures: []measure{
			{name: measureReady, unit: seconds},
			{name: measureRequests, targets: []target{{of: kooperd, row: "startup-1", factor: 1}}},
			{name: measurePeak, unit: megabytes},
		},
		order: func() order.Order { return o },
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			numbers, err := s.countStart(ctx, p, o)
			return readings{p: numbers}, err
		},
	}
}

// countStart runs a program until each definition has handled all objects, when it is ready by any
// measure, and a while longer.
func (s *scene) countStart(ctx context.Context, p program, o order.Order) (map[string]float64, error) {
	user := s.newUser()
	proc, err := s.startAs(p, o, user)
	if err != nil {
		return nil, err
	}
	report, err := proc.await(ctx)
	if err == nil {
		err = pause(ctx, s.settle)
	}
	to := time.Now()
	var peak float64
	if err == nil {
		_, peak, err = proc.memory()
	}
	if err := errors.Join(err, proc.stop()); err != nil {
		return nil, err
	}
	all, err := s.requests(ctx, proc.started, to)
	if err != nil {
		return nil, err
	}
	explain(p, all[user])
	return map[string]float64{
		measureReady: report.At.Sub(proc.started).Seconds(), measureRequests: float64(len(all[user])), measurePeak: peak / 1e6,
	}, nil
}

// explain prints what was asked of the API server, which the table has only the number of.
func explain(p program, requests []cluster.AuditEvent) {
	kinds := map[string]int{}
	for _, e := range requests {
		kinds[fmt.Sprintf("%s %s %d", e.Verb, subject(e), e.ResponseStatus.Code)]++
	}
	progressf("%s has asked for %v", p, kinds)
}

// subject is what a request is about: a resource, or the subresource of one, or a path.
func subject(e cluster.AuditEvent) string {
	switch ref := e.ObjectRef; {
	case ref.Resource == "":
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return path
	case ref.Subresource == "":
		return ref.Resource
	default:
		return ref.Resource + "/" + ref.Subresource
	}
}

// newUser returns a name that the API server has not seen.
func (s *scene) newUser() string { return fmt.Sprintf("bench-%d", processes.Add(1)) }

// startAs starts a program whose requests the API server takes for those of a user who may do
// everything.
func (s *scene) startAs(p program, o order.Order, user string) (*process, error) {
	config, err := clientcmd.LoadFromFile(s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	for _, info := range config.AuthInfos {
		info.Impersonate, info.ImpersonateGroups = user, []string{"system:masters"}
	}
	path := filepath.Join(s.dir, user+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return nil, fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return s.start(p, o, path)
}

// auditDelay is how long the API server may take to write down what a client has done before it
// ended.
const auditDelay = 2 * time.Second

// requests returns by user what those, who are gone, have asked of the API server between two
// moments.
func (s *scene) requests(ctx context.Context, from, to time.Time) (map[string][]cluster.AuditEvent, error) {
	if err := pause(ctx, auditDelay); err != nil {
		return nil, err
	}
	all, err := s.cluster.ReadAudit(s.audited)
	if err != nil {
		return nil, err
	}
	requests := map[string][]cluster.AuditEvent{}
	for _, e := range all {
		if at := e.RequestReceived.Time; at.After(from) && at.Before(to) {
			requests[e.ImpersonatedUser.Username] = append(requests[e.ImpersonatedUser.Username], e)
		}
	}
	return requests, nil
}
