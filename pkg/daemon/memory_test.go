package daemon

import (
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-logr/logr/funcr"
)

func TestLimitMemory(t *testing.T) {
	const before = 1 << 40
	cgroup := func(limit uint64, err error) func() (uint64, error) {
		return func() (uint64, error) { return limit, err }
	}
	tests := map[string]struct {
		env    string
		cgroup func() (uint64, error)
		want   int64
		line   string
	}{
		"cgroup":      {"", cgroup(1000<<20, nil), 900 << 20, `"memory limit is that of the cgroup" "limitBytes"=943718400 "cgroupBytes"=1048576000`},
		"environment": {"512MiB", cgroup(1000<<20, nil), before, `"memory limit is that of the environment" "GOMEMLIMIT"="512MiB"`},
		"off":         {"off", cgroup(1000<<20, nil), before, `"GOMEMLIMIT"="off"`},
		"no limit":    {"", cgroup(0, memlimit.ErrNoLimit), before, `"no memory limit: no cgroup sets one"`},
		"no cgroup":   {"", cgroup(0, memlimit.ErrNoCgroup), before, `"no memory limit: no cgroup sets one"`},
		"not Linux":   {"", cgroup(0, memlimit.ErrCgroupsNotSupported), before, `"no memory limit: no cgroup sets one"`},
		"unreadable":  {"", cgroup(0, errors.New("no such luck")), before, `"error"="no such luck"`},
		"absurd":      {"", cgroup(math.MaxUint64, nil), math.MaxInt64, `"memory limit is that of the cgroup"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", test.env)
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
			var log strings.Builder
			logger := funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{Verbosity: 1})
			limitMemory(logger, test.cgroup)
			if have := debug.SetMemoryLimit(-1); have != test.want {
				t.Errorf("the limit is %d, want %d", have, test.want)
			}
			if have := log.String(); strings.Count(have, "\n") != 1 || !strings.Contains(have, test.line) {
				t.Errorf("the log says %q, want one line with %q", have, test.line)
			}
		})
	}
}
