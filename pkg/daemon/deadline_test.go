package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// What a command asks may never return, as a credential plugin obeys no context. The command does.
func TestAskIsBounded(t *testing.T) {
	plain := clusterConfig{rest: &rest.Config{Host: "https://host:6443"}}
	plugin := clusterConfig{rest: &rest.Config{Host: "https://host:6443", ExecProvider: &clientcmdapi.ExecConfig{Command: "/opt/plug.sh"}}}
	broken := errors.New("connection refused")
	tests := map[string]struct {
		where    clusterConfig
		question func(ctx context.Context, release <-chan struct{}) error
		cancel   bool
		want     string
		after    time.Duration
	}{
		"answered": {where: plain, question: func(context.Context, <-chan struct{}) error { return nil }},
		"refused": {
			where: plain, question: func(context.Context, <-chan struct{}) error { return broken }, want: "connection refused",
		},
		"a request that ends by itself": {
			where: plain, after: 5 * time.Second, want: "no answer from https://host:6443 within 5s",
			question: func(context.Context, <-chan struct{}) error {
				time.Sleep(5 * time.Second)
				return fmt.Errorf("asking: %w", context.DeadlineExceeded)
			},
		},
		"a server that never answers": {
			where: plain, after: 30 * time.Second, want: "no answer from https://host:6443 within 30s",
			question: func(ctx context.Context, _ <-chan struct{}) error { <-ctx.Done(); return ctx.Err() },
		},
		"a plugin that hangs": {
			where: plugin, after: 30 * time.Second,
			want:     `no answer from https://host:6443 within 30s; the credential plugin "plug.sh" of the kubeconfig may hang`,
			question: func(_ context.Context, release <-chan struct{}) error { <-release; return nil },
		},
		"interrupted": {
			where: plain, cancel: true, after: time.Second, want: "waiting for https://host:6443: context canceled",
			question: func(_ context.Context, release <-chan struct{}) error { <-release; return nil },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()
				err := ask(ctx, io.Discard, tc.where, defaultTimeout, func(ctx context.Context) error { return tc.question(ctx, release) })
				got := ""
				if err != nil {
					got = err.Error()
				}
				if got != tc.want || time.Since(began) != tc.after {
					t.Errorf("%q after %s\nwant %q after %s", got, time.Since(began), tc.want, tc.after)
				}
			})
		})
	}
}
