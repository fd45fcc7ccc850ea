// Package fence_test shows on a real API server what the policy that "kooperd fence" prints refuses
// and what it lets pass, to the pods of one service account, to others, and while the lease changes
// hands.
package fence_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

var shared *cluster.Cluster

// The programs of this package's tests.
var kooperd, mark string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kooperd-fence-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kooperd, mark = filepath.Join(dir, "kooperd"), filepath.Join(dir, "mark")
	for program, source := range map[string]string{kooperd: filepath.Join("..", "..", "cmd", "kooperd"), mark: "mark"} {
		if err := build(program, source); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return cluster.Main(m, cluster.Options{Audit: true}, &shared)
}

// build compiles the main package in a folder of this repository, for which go wants to be there.
func build(program, source string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", source, err, out)
	}
	return nil
}
