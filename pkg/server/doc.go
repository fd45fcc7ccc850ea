// Package server is the HTTP face of kooperd: /metrics on one address, /livez, /readyz and /leaderz on another.
//
// It decides nothing about health: it asks the functions it is given. It never talks to the API server.
//
//	srv, err := server.Listen(ctx, server.Options{MetricsAddress: ":8080", HealthAddress: ":8081", …})
//	err = srv.Serve(ctx)
package server
