package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/handlers"
)

// TestConfigRefusesWhatTheElectorRefuses walks a grid of timings: whatever a config may say, the
// elector takes, so that a mistake is told with its line and never at start.
func TestConfigRefusesWhatTheElectorRefuses(t *testing.T) {
	registry, err := handlers.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	leases, err := election.NewLeaseClient(&rest.Config{Host: "127.0.0.1:1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer leases.Close()
	accepted, refused := 0, 0
	for _, lease := range []int{1, 2, 3, 4, 8, 9, 15, 20, 35, 137} {
		for _, renew := range []string{"500ms", "1s", "2s", "2500ms", "7s", "10s", "12s", "30s", "107s", "120s"} {
			for _, retry := range []string{"100ms", "500ms", "1s", "2s", "5s", "7s", "8s", "26s"} {
				text := fmt.Sprintf("apiVersion: kooperd.dev/v1alpha1\nleaderElection: {leaseDuration: %ds, renewDeadline: %s, retryPeriod: %s}\ncontrollers: {}\n", lease, renew, retry)
				path := filepath.Join(t.TempDir(), "c.yaml")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := config.Load(t.Context(), []string{path}, config.Options{Registry: registry}); err != nil {
					refused++
					continue
				}
				accepted++
				d := func(s string) time.Duration { v, _ := time.ParseDuration(s); return v }
				if _, err := election.New(election.Options{
					Namespace: "ns", Name: "n", Identity: "i", Leases: leases,
					LeaseDuration: time.Duration(lease) * time.Second, RenewDeadline: d(renew), RetryPeriod: d(retry),
				}); err != nil {
					t.Errorf("the config takes %d s, %s, %s, the elector does not: %v", lease, renew, retry, err)
				}
			}
		}
	}
	if accepted < 50 || refused < 50 {
		t.Errorf("the grid has %d accepted and %d refused timings: it tests too little", accepted, refused)
	}
}
