// Package server answers HTTP requests: /metrics, and the profiles of the process if they are
// wanted, on one address; /livez, /readyz, /leaderz and the status page of package page on another.
// The first may be restricted to users that the API server lets read it, and may speak TLS. Of the
// second the probes are open to anyone, and the page is restricted like the first.
//
// It decides nothing about health: it asks the functions it is given. It asks the API server for
// one thing only, through a DelegatingAuthorizer: which user a bearer token belongs to, and what
// that user may read.
//
//	srv, err := server.Listen(ctx, server.Options{MetricsAddress: ":8080", HealthAddress: ":8081", …})
//	err = srv.Serve(ctx)
package server
