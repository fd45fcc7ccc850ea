// Command yardstick is what kooperd is measured against in the failover tests: a small controller
// as it is commonly written with client-go, doing the same work as the plugin "marker" of markerd.
// Its caches are warm before it competes, its elector is k8s.io/client-go/tools/leaderelection with
// ReleaseOnCancel, and it exits when it stops leading, as client-go's own example does. Client-side
// rate limiting is off; everything else is client-go's default.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/failover/marker"
)

// config is what the harness gives it in a JSON file.
type config struct {
	Namespace     string            `json:"namespace"`
	Lease         string            `json:"lease"`
	LeaseDuration handlers.Duration `json:"leaseDuration"`
	RenewDeadline handlers.Duration `json:"renewDeadline"`
	RetryPeriod   handlers.Duration `json:"retryPeriod"`
	Workers       int               `json:"workers"`
	marker.Config
}

// main takes the flags that the harness gives to kooperd, too.
func main() {
	path := flag.String("config", "", "config file, as JSON")
	_ = flag.String("log-format", "json", "ignored: the log is JSON")
	_ = flag.String("metrics-bind-address", "0", "ignored: there are no metrics")
	_ = flag.String("health-probe-bind-address", "0", "ignored: there are no probes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // a program begins its context
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	err := run(ctx, logger, *path, func(status int) { os.Exit(status) })
	stop()
	if err != nil {
		logger.Error("yardstick failed", "err", err)
		os.Exit(1)
	}
}

// run works until ctx ends, or ends the process by exit when it stops leading.
func run(ctx context.Context, logger *slog.Logger, path string, exit func(status int)) error {
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	rest.QPS = -1
	rest.UserAgent = "yardstick"
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	identity := os.Getenv("POD_NAME") + "_" + os.Getenv("POD_UID")
	work := newController(client, c, marker.NewWriter(client, identity, time.Duration(c.WriteTimeout)))
	if err := work.warm(ctx); err != nil {
		return err
	}
	logger.Info("caches are warm")
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Lease},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		LeaseDuration:   time.Duration(c.LeaseDuration),
		RenewDeadline:   time.Duration(c.RenewDeadline),
		RetryPeriod:     time.Duration(c.RetryPeriod),
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				logger.Info("became leader")
				work.run(ctx)
			},
			OnStoppedLeading: func() {
				logger.Info("stopped leading")
				exit(exitStatus(ctx))
			},
		},
	})
	if err != nil {
		return fmt.Errorf("configuring the election: %w", err)
	}
	elector.Run(ctx)
	return nil
}

// exitStatus is that of kooperd for the same end: 0 for a stop that was asked for, 3 for lost
// leadership.
func exitStatus(ctx context.Context) int {
	if ctx.Err() != nil {
		return 0
	}
	return 3
}

// readConfig reads the config file.
func readConfig(path string) (config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return config{}, fmt.Errorf("reading config: %w", err)
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return config{}, fmt.Errorf("reading config: %w", err)
	}
	return c, nil
}
