package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// profile is that of locks, at the address of kooperd's metrics. It tells for how long others have
// waited for a lock by the place where that was given back.
type profile struct {
	client  *http.Client
	address string
}

// duringReads reads pages again and again, and returns for how many microseconds others have waited
// for locks that were held on behalf of them, for each page. They are known by a part of the name
// of a function that all of them come through.
func (p profile) duringReads(ctx context.Context, through string, pages ...reader) (float64, error) {
	before, err := p.waited(ctx, through)
	if err != nil {
		return 0, err
	}
	reads := 0
	for begin := time.Now(); time.Since(begin) < readingTime; {
		for _, page := range pages {
			if _, err := page.read(ctx); err != nil {
				return 0, err
			}
			reads++
		}
	}
	after, err := p.waited(ctx, through)
	return float64((after - before).Microseconds()) / float64(reads), err
}

// waited is for how long there were waits so far.
func (p profile) waited(ctx context.Context, through string) (time.Duration, error) {
	text, err := fetch(ctx, p.client, "http://"+p.address+"/debug/pprof/mutex?debug=1")
	if err != nil {
		return 0, err
	}
	return waitedIn(string(text), through)
}

// waitedIn adds up the waits in a profile, as text, of the stacks with a function whose name has a
// part.
func waitedIn(text, through string) (time.Duration, error) {
	perSecond, total, cycles := 0.0, 0.0, 0.0
	for line := range strings.Lines(text) {
		var err error
		first, _, _ := strings.Cut(line, " ")
		rate, isRate := strings.CutPrefix(strings.TrimSpace(line), "cycles/second=")
		switch {
		case isRate:
			perSecond, err = strconv.ParseFloat(rate, 64)
		case strings.HasPrefix(line, "#"):
			if strings.Contains(line, through) {
				total, cycles = total+cycles, 0 // Once for each stack.
			}
		case strings.Contains(line, " @ "):
			cycles, err = strconv.ParseFloat(first, 64)
		}
		if err != nil {
			return 0, fmt.Errorf("reading a profile: %w", err)
		}
	}
	if perSecond <= 0 {
		return 0, fmt.Errorf("reading a profile: it does not say how long a cycle is: %.100q", text)
	}
	return time.Duration(total / perSecond * float64(time.Second)), nil
}
