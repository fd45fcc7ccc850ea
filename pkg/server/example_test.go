package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// ExampleListen serves the probes of a process on a free port.
func ExampleListen() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	board := status.NewBoard(telemetry.NewMetrics(prometheus.NewRegistry()))
	board.Set("pods", status.Running, "")
	srv, err := server.Listen(ctx, server.Options{HealthAddress: "127.0.0.1:0", MetricsAddress: server.Disabled, Board: board})
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+srv.Addresses()["health"]+"/readyz", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	var client http.Client
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	client.CloseIdleConnections()
	fmt.Print(response.StatusCode, " ", string(body))

	stop() // as when the process is asked to stop
	fmt.Println(<-served)
	// Output:
	// 200 ok
	// <nil>
}
