package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestVerdictsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerdicts(2, time.Minute)
		key := digest{1}
		if ok, _ := v.get(key); ok {
			t.Error("a verdict before there was one")
		}
		v.put(key, ErrForbidden)
		time.Sleep(time.Minute - 1)
		if ok, got := v.get(key); !ok || !errors.Is(got, ErrForbidden) {
			t.Errorf("before its end: %v, %t", got, ok)
		}
		time.Sleep(time.Nanosecond)
		if ok, got := v.get(key); ok {
			t.Errorf("after its end: %v", got)
		}
	})
}

func TestVerdictsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 3
		v := newVerdicts(limit, time.Minute)
		for i := range 10 {
			v.put(digest{byte(i)}, nil)
			time.Sleep(time.Second)
		}
		v.put(digest{9}, nil) // again: nobody has to go for it
		if len(v.entries) != limit {
			t.Errorf("%d entries, want %d", len(v.entries), limit)
		}
		for i := range 10 {
			if ok, _ := v.get(digest{byte(i)}); ok != (i >= 7) {
				t.Errorf("entry %d is there: %t, want the last %d", i, ok, limit)
			}
		}
	})
}
