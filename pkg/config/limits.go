package config

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

const (
	defaultDeadline    = 10 * time.Second
	defaultMemoryLimit = 1 << 30
	// heapCheckPeriod is short enough that an evaluation which doubles its memory each time is seen
	// before it has taken several times the limit.
	heapCheckPeriod = 20 * time.Millisecond
)

// maxAbandoned bounds the evaluations that go on after their load has given up. Each holds its
// memory and a processor, and CUE has no way to end it.
const maxAbandoned = 4

// abandoned counts them, over all loads of the process.
var abandoned atomic.Int32

// outcome is what an evaluation ends with.
type outcome struct {
	cfg   *Config
	diags diagnostic.Diagnostics
}

// activity is what an evaluation is doing, for whoever gives up waiting for it.
type activity struct{ plugin atomic.Pointer[string] }

// calling notes that the code of a plugin runs, until the returned function is called.
func (a *activity) calling(plugin string) (done func()) {
	a.plugin.Store(&plugin)
	return func() { a.plugin.Store(nil) }
}

// supervise runs evaluate in a goroutine and gives up on it when ctx ends, or when it takes too
// long or too much memory. A panic in it becomes a diagnostic. The goroutine ends with the
// evaluation.
func supervise(ctx context.Context, options Options, file string, evaluate func(*activity) (*Config, diagnostic.Diagnostics)) (*Config, error) {
	if abandoned.Load() >= maxAbandoned {
		return nil, fmt.Errorf("loading config: %d evaluations that took too long are still running", maxAbandoned)
	}
	deadline, limit := cmp.Or(options.Deadline, defaultDeadline), cmp.Or(options.MemoryLimit, defaultMemoryLimit)
	base := heapInUse()
	doing := &activity{}
	done := make(chan outcome, 1) // buffered: an abandoned evaluation must not block for ever
	var given sync.Once           // up or an answer, whatever comes first
	go func() {
		var out outcome
		returned := false
		defer func() {
			if !returned {
				out = outcome{diags: panicked(file, recover(), debug.Stack())}
			}
			done <- out
			waited := false
			given.Do(func() { waited = true })
			if !waited {
				abandoned.Add(-1)
			}
		}()
		out.cfg, out.diags = evaluate(doing)
		returned = true
	}()
	giveUp := func() { given.Do(func() { abandoned.Add(1) }) }
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	ticker := time.NewTicker(heapCheckPeriod)
	defer ticker.Stop()
	for {
		select {
		case out := <-done:
			if len(out.diags) > 0 {
				return nil, out.diags.Tidy()
			}
			return out.cfg, nil
		case <-ctx.Done():
			giveUp()
			return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
		case <-timer.C:
			giveUp()
			return nil, tooLong(file, deadline, doing)
		case <-ticker.C:
			if used := heapInUse(); used > base && used-base > limit {
				giveUp()
				return nil, tooMuch(file, limit)
			}
		}
	}
}

const evaluationHint = "look for comprehensions over large ranges, nested for clauses and many disjunctions"

// TooLong is the error for files whose evaluation was ended because it took longer than deadline.
// It is for a process that has another one evaluate them, as are TooMuchCPU and TooMuchMemory.
func TooLong(files *Files, deadline time.Duration) Diagnostics {
	return tooLong(files.first(), deadline, &activity{})
}

// TooMuchCPU is the error for files whose evaluation was ended because it took more CPU time than
// limit.
func TooMuchCPU(files *Files, limit time.Duration) Diagnostics {
	return diagnostic.Diagnostics{{Position: diagnostic.Position{File: files.first()}, Hint: evaluationHint, Exceeded: true,
		Message: fmt.Sprintf("evaluating the config takes more than %s of CPU time", limit)}}
}

// TooMuchMemory is the error for files whose evaluation was ended because it took more bytes of
// memory than limit.
func TooMuchMemory(files *Files, limit uint64) Diagnostics { return tooMuch(files.first(), limit) }

func tooLong(file string, deadline time.Duration, doing *activity) diagnostic.Diagnostics {
	d := diagnostic.Diagnostic{Position: diagnostic.Position{File: file}, Hint: evaluationHint, Exceeded: true,
		Message: fmt.Sprintf("evaluating the config takes longer than %s", deadline)}
	if plugin := doing.plugin.Load(); plugin != nil {
		d.Message = fmt.Sprintf("plugin %q takes longer than %s to check its config", *plugin, deadline)
		d.Hint = pluginHint
	}
	return diagnostic.Diagnostics{d}
}

func tooMuch(file string, limit uint64) diagnostic.Diagnostics {
	return diagnostic.Diagnostics{{Position: diagnostic.Position{File: file}, Hint: evaluationHint, Exceeded: true,
		Message: fmt.Sprintf("evaluating the config takes more than %d MiB of memory", limit>>20)}}
}

// panicked reports a mistake in CUE's evaluator or in this package; plugins have guards of their
// own. The innermost function of the evaluator that took part is named, which is what a report to
// its authors needs. A nil p is a goroutine that ended without an answer.
func panicked(file string, p any, stack []byte) diagnostic.Diagnostics {
	where := ""
	for line := range strings.Lines(string(stack)) {
		if strings.HasPrefix(line, "cuelang.org/go/") {
			where, _, _ = strings.Cut(strings.TrimSpace(line), "(0x")
			where = " in " + where
			break
		}
	}
	if p == nil {
		p = "runtime.Goexit was called"
	}
	return diagnostic.Diagnostics{{Position: diagnostic.Position{File: file}, Message: fmt.Sprintf("evaluating the config panicked%s: %v", where, p),
		Hint: "this is a mistake in kooperd or in CUE; please report it with the file"}}
}

// heapInUse returns the bytes of live and not yet swept objects, without stopping the program.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
