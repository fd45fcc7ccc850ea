package main

import (
	"context"
	"net/url"

	"k8s.io/client-go/tools/metrics"
)

// exerciseClientGo reports one request as client-go does, to whom telemetry has put there.
func exerciseClientGo() {
	ctx := context.Background()
	metrics.RequestResult.Increment(ctx, "200", "GET", "host")
	metrics.RequestLatency.Observe(ctx, "GET", url.URL{Host: "host"}, 0)
	metrics.RequestRetry.IncrementRetry(ctx, "200", "GET", "host")
}
