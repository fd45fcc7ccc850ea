package config

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	defaultDeadline    = 10 * time.Second
	defaultMemoryLimit = 1 << 30
	// heapCheckPeriod is short enough that an evaluation which doubles its memory each time is seen before it has
	// taken several times the limit.
	heapCheckPeriod = 20 * time.Millisecond
)

// outcome is what an evaluation ends with.
type outcome struct {
	cfg   *Config
	diags Diagnostics
}

// guard runs evaluate in a goroutine of its own and gives up on it when ctx ends, or when it takes too long or too
// much memory. A panic in it becomes a diagnostic.
func guard(ctx context.Context, options Options, file string, evaluate func() (*Config, Diagnostics)) (*Config, error) {
	deadline, limit := options.Deadline, options.MemoryLimit
	if deadline == 0 {
		deadline = defaultDeadline
	}
	if limit == 0 {
		limit = defaultMemoryLimit
	}
	base := heapInUse()
	done := make(chan outcome, 1) // buffered: an abandoned evaluation must not block for ever
	go func() {
		var out outcome
		defer func() {
			if p := recover(); p != nil {
				out = outcome{diags: panicked(file, p, debug.Stack())}
			}
			done <- out
		}()
		out.cfg, out.diags = evaluate()
	}()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	ticker := time.NewTicker(heapCheckPeriod)
	defer ticker.Stop()
	for {
		select {
		case out := <-done:
			if len(out.diags) > 0 {
				return nil, out.diags.tidy()
			}
			return out.cfg, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("loading config: %w", context.Cause(ctx))
		case <-timer.C:
			return nil, givenUp(file, fmt.Sprintf("evaluating the config takes longer than %s", deadline))
		case <-ticker.C:
			if used := heapInUse(); used > base && used-base > limit {
				return nil, givenUp(file, fmt.Sprintf("evaluating the config takes more than %d MiB of memory", limit>>20))
			}
		}
	}
}

func givenUp(file, message string) Diagnostics {
	return Diagnostics{{Position: Position{File: file}, Message: message,
		Hint: "look for comprehensions over large ranges, nested for clauses and many disjunctions"}}
}

// panicked tells of a mistake in CUE's evaluator or in this package. The innermost function of the evaluator that took
// part is named, which is what a report to its authors needs.
func panicked(file string, p any, stack []byte) Diagnostics {
	where := ""
	for line := range strings.Lines(string(stack)) {
		if strings.HasPrefix(line, "cuelang.org/go/") {
			where, _, _ = strings.Cut(strings.TrimSpace(line), "(0x")
			where = " in " + where
			break
		}
	}
	return Diagnostics{{Position: Position{File: file}, Message: fmt.Sprintf("evaluating the config panicked%s: %v", where, p),
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
