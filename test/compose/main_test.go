// Package compose_test tests on a real API server what becomes of the children of composers. The
// facts are what the API server does that the rules of package compose stand on. The other tests
// run kooperd with the plugin "parts", as separate processes, and look at the world: at objects, at
// the audit log, and at the record of calls.
//
// -conformance runs every case at full size; without it there is one of each kind.
package compose_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// patience is how long a test waits for what should come soon, on a machine that has much else to
// do. The garbage collector looks for new kinds every 30 s, and then has to list them.
const patience = 150 * time.Second

// enforceOwners makes the API server ask for more rights: a child that blocks the deletion of its
// parent needs one. What works with it works without it.
const enforceOwners = "enable-admission-plugins=OwnerReferencesPermissionEnforcement"

// rigsAtOnce is how many tests may run at a time. They mostly wait.
const rigsAtOnce = 6

var (
	shared      *cluster.Cluster
	conformance bool
	composed    string // path of the program
)

func TestMain(m *testing.M) {
	flag.BoolVar(&conformance, "conformance", false, "run every case, at full size")
	flag.StringVar(&composed, "compose.composed", "", "run this `program` instead of building it")
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := flag.Set("test.parallel", strconv.Itoa(rigsAtOnce)); err != nil {
		return complain(err)
	}
	if composed == "" {
		dir, err := os.MkdirTemp("", "kooperd-compose-")
		if err != nil {
			return complain(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		composed = filepath.Join(dir, "composed")
		if err := build(context.Background(), composed); err != nil {
			return complain(err)
		}
	}
	return cluster.Main(m, cluster.Options{Audit: true, APIServerArgs: []string{enforceOwners}}, &shared)
}

// build compiles the program as it is shipped, without the race detector.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./composed")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building composed: %w\n%s", err, out)
	}
	return nil
}

func complain(err error) int {
	_, _ = fmt.Fprintf(os.Stderr, "compose: %v\n", err)
	return 1
}

// size returns how large a test is: small, or large with -conformance.
func size(small, large int) int {
	if conformance {
		return large
	}
	return small
}
