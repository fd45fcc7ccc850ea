package order

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
)

// profiles are those of one process.
type profiles struct {
	cpu, heap string // files; empty for none

	mu    sync.Mutex
	file  *os.File
	ended bool
}

// begin starts the CPU profile.
func (p *profiles) begin() error {
	if p.cpu == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.file, err = os.Create(p.cpu); err != nil {
		return fmt.Errorf("writing the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(p.file); err != nil {
		return fmt.Errorf("writing the CPU profile: %w", err)
	}
	return nil
}

// end writes both profiles, once.
func (p *profiles) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	p.ended = true
	if p.file != nil {
		pprof.StopCPUProfile()
		if err := p.file.Close(); err != nil {
			return fmt.Errorf("writing the CPU profile: %w", err)
		}
	}
	if p.heap == "" {
		return nil
	}
	runtime.GC() // What is in use is known as of the last collection.
	file, err := os.Create(p.heap)
	if err != nil {
		return fmt.Errorf("writing the heap profile: %w", err)
	}
	if err := pprof.WriteHeapProfile(file); err != nil {
		return fmt.Errorf("writing the heap profile: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing the heap profile: %w", err)
	}
	return nil
}
