package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kooperd.dev/kooperd/pkg/config"
)

// manyDefinitions writes a config of n definitions, in YAML or as a CUE comprehension.
func manyDefinitions(t testing.TB, n int, ext string) string {
	t.Helper()
	var b strings.Builder
	if ext == ".cue" {
		fmt.Fprintf(&b, `import "list"
apiVersion: "kooperd.dev/v1alpha1"
controllers: {
	for i in list.Range(0, %d, 1) {
		"pods-\(i)": {
			watch: {apiVersion: "v1", kind: "Pod", namespaces: ["team-\(i)"], labelSelector: "app=web,tier in (a, b)"}
			handler: exec: {argv: ["run", "\(i)"], env: A: "b"}
			mode: "concurrent", workers: 4, resync: "10m"
		}
	}
}
`, n)
	} else {
		b.WriteString("apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n")
		for i := range n {
			fmt.Fprintf(&b, `  pods-%d:
    watch: {apiVersion: v1, kind: Pod, namespaces: [team-%d], labelSelector: "app=web,tier in (a, b)"}
    handler:
      exec: {argv: [run, "%d"], env: {A: b}}
    mode: concurrent
    workers: 4
    resync: 10m
`, i, i, i)
		}
	}
	name := filepath.Join(t.TempDir(), "many"+ext)
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// patience is a deadline that no machine needs, however busy it is: the budgets are counted in
// processor time and memory, not in time on the wall.
const patience = 10 * time.Minute

// budgets are configs of 1000 definitions.
func budgets(t testing.TB) map[string]string {
	t.Helper()
	wrong := manyDefinitions(t, 1000, ".yaml")
	text, err := os.ReadFile(wrong)
	if err != nil {
		t.Fatal(err)
	}
	mistakes := strings.NewReplacer("workers: 4", "wokers: 300", "resync: 10m", "resync: soon").Replace(string(text))
	if err := os.WriteFile(wrong, []byte(mistakes), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"YAML": manyDefinitions(t, 1000, ".yaml"), "CUE": manyDefinitions(t, 1000, ".cue"), "mistakes": wrong,
	}
}

// BenchmarkLoad loads 1000 definitions. The budget is a second of processor time, and three for a
// file in which every definition has mistakes.
func BenchmarkLoad(b *testing.B) {
	registry := testRegistry(b)
	for name, file := range budgets(b) {
		b.Run(name, func(b *testing.B) {
			before := processorTime(b)
			b.ReportAllocs()
			for b.Loop() {
				_, err := config.Load(b.Context(), []string{file}, config.Options{Registry: registry, Deadline: patience})
				if (err != nil) != (name == "mistakes") {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// TestLoadMemory holds the budget of 150 MB of heap for 1000 definitions.
func TestLoadMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes several times as much")
	}
	registry := testRegistry(t)
	for name, file := range budgets(t) {
		t.Run(name, func(t *testing.T) {
			peak := peakHeap(func() {
				_, err := config.Load(t.Context(), []string{file}, config.Options{Registry: registry, Deadline: patience})
				if (err != nil) != (name == "mistakes") {
					t.Error(err)
				}
			})
			if peak > 150e6 {
				t.Errorf("took %d MB, want at most 150", peak/1e6)
			}
		})
	}
}

// peakHeap runs f and returns by how much the heap grew at most, garbage that was not collected yet
// included.
func peakHeap(f func()) uint64 {
	runtime.GC()
	base := heapObjects()
	var peak uint64
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if now := heapObjects(); now > base {
					peak = max(peak, now-base)
				}
			}
		}
	})
	f()
	close(stop)
	done.Wait()
	return peak
}

func heapObjects() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// processorTime is what the process has used so far, on all processors; unlike the time on the
// wall, it does not depend on what else the machine does.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
