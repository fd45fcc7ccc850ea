package history

import (
	"sync"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

const (
	// maxEnded is how many calls that have ended wait to be read.
	maxEnded = 64
	// stateShare is the share of the inbox for states of objects that are no longer in the cache,
	// which changes keep whose paths are not yet found: one of so many parts for the calls to come,
	// and one for those that have ended.
	stateShare = 4
)

// inbox has what is noted of calls and not yet read. It is safe for concurrent use.
type inbox struct {
	limit int64 // for what is noted of calls to come

	mu      sync.Mutex
	pending int64 // bytes of what is noted of calls to come
	ended   []endedCall
	kept    int64       // bytes that the changes of ended keep
	spare   []endedCall // room for as many again
}

// endedCall is a call that has ended.
type endedCall struct {
	log      *Log
	key      kube.Key
	cause    Cause
	handling statusz.Handling // without what the cause says
}

// add adds a call, and reports whether it is time to read.
func (in *inbox) add(c endedCall) (full bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = append(in.ended, c)
	in.kept += c.cause.kept()
	return len(in.ended) >= maxEnded || in.kept > in.limit/stateShare
}

// take returns the calls that have ended. They are to be given back.
func (in *inbox) take() []endedCall {
	in.mu.Lock()
	defer in.mu.Unlock()
	ended := in.ended
	in.ended, in.spare, in.kept = in.spare, nil, 0
	return ended
}

// giveBack gives back what take returned, for its room.
func (in *inbox) giveBack(ended []endedCall) {
	clear(ended)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.spare = ended[:0]
}

func (in *inbox) pendingBytes() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pending
}
