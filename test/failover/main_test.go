// Package failover_test measures and checks what happens to leadership when something breaks. It
// runs replicas of kooperd as processes on a real API server, each behind its own TCP proxy, and
// next to them the same work under client-go's elector as a yardstick. Every call of a handler
// writes a marker through the gated client. What the API server has accepted, from whom and in
// which order, is read from its audit log and from a watch, so nothing that is asserted here relies
// on what a replica says about itself.
//
// The usual run has one case of each kind, once, without the yardstick and without limits for
// times: a busy machine may be slow. -conformance runs all cases and holds times against their
// limits. FAILOVER=full, or -failover.full, does that too, repeats every case as often as
// docs/failover.md says, and has the yardstick; -failover.doc writes the figures into that page.
package failover_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// settings are the flags of the test binary.
type settings struct {
	full        bool
	conformance bool // implied by full
	bin         string
	doc         string
	chaos       time.Duration
	seed        uint64
}

var (
	shared *cluster.Cluster
	flags  settings
	table  figures
	stalls stallDetector

	kooperd   = program{name: "kooperd", dir: "markerd", config: kooperdConfig, ready: kooperdReady, ours: true}
	yardstick = program{name: "client-go", dir: "yardstick", config: yardstickConfig, ready: yardstickReady}
)

// scenesAtOnce is how many scenes may run at a time. They mostly wait, so the number of cores says
// little about it. What measures milliseconds runs alone.
const scenesAtOnce = 8

func TestMain(m *testing.M) {
	flag.BoolVar(&flags.full, "failover.full", os.Getenv("FAILOVER") == "full", "repeat every case as often as docs/failover.md says")
	flag.BoolVar(&flags.conformance, "conformance", false, "run all cases and hold times against their limits")
	flag.StringVar(&flags.bin, "failover.bin", "", "run the programs in this `folder` instead of building them")
	flag.StringVar(&flags.doc, "failover.doc", "", "write the figures into this `file`, between its two marks")
	flag.DurationVar(&flags.chaos, "failover.chaos", 0, "how long TestChaos goes on; 0 means one round")
	flag.Uint64Var(&flags.seed, "failover.seed", 1, "the seed of TestChaos' first round")
	flag.Parse()
	flags.conformance = flags.conformance || flags.full
	os.Exit(run(m))
}

// run builds the programs, runs the tests and publishes the figures.
func run(m *testing.M) int {
	if err := flag.Set("test.parallel", strconv.Itoa(scenesAtOnce)); err != nil {
		return complain(err)
	}
	bin := flags.bin
	if bin == "" {
		var err error
		if bin, err = os.MkdirTemp("", "kooperd-failover-"); err != nil {
			return complain(err)
		}
		defer func() { _ = os.RemoveAll(bin) }()
	}
	for _, p := range []*program{&kooperd, &yardstick} {
		p.binary = filepath.Join(bin, p.dir)
		if flags.bin != "" {
			continue
		}
		if err := p.build(); err != nil {
			return complain(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var detecting sync.WaitGroup
	detecting.Go(func() { stalls.run(ctx) })
	defer detecting.Wait()
	defer stop()
	code := cluster.Main(m, cluster.Options{Audit: true}, &shared)
	if err := table.publish(os.Stdout, flags.doc); err != nil {
		return complain(err)
	}
	return code
}

func complain(err error) int {
	_, _ = fmt.Fprintf(os.Stderr, "failover: %v\n", err)
	return 1
}

// build compiles the program, without the race detector, as it is shipped.
func (p *program) build() error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", p.binary, "./"+p.dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.dir, err, out)
	}
	return nil
}

// besideOthers runs a test that burdens the machine in parallel with others, unless figures are
// made.
func besideOthers(t *testing.T) {
	t.Helper()
	if !flags.full {
		t.Parallel()
	}
}

// times returns how often a case is repeated: once, a few times with -conformance, or as often as
// the figures want it.
func times(few, full int) int {
	switch {
	case flags.full:
		return full
	case flags.conformance:
		return few
	default:
		return 1
	}
}
