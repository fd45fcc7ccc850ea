// Package kube has everything by which handlers reach the API server: clients, the gate that every
// request of theirs passes, and the shared sources that list and watch kinds into caches.
//
// It does not know definitions, queues or leases: the engine asks it for a View of what a
// definition watches, and the gate asks a function how long writing is still allowed.
//
//	cluster, err := kube.New(restConfig, kube.Options{Logger: logger, Metrics: metrics})
//	view := cluster.Sources.Watch(ctx, kube.Watch{Kind: podKind})
package kube
