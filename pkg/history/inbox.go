package history

import (
	"sync"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/statusz"
)

const (
	// maxEnded is how many calls that have ended wait to be read.
	maxEnded = 128
	// stateShare is the share of what calls to come may take for states of objects that are no
	// longer in the cache, which changes keep whose paths are not yet found: one of so many parts
	// for the calls to come, and one for those that have ended.
	stateShare = 4
)

// inbox has calls that have ended and are not yet read. It is safe for concurrent use.
type inbox struct {
	maxKept int64 // for kept

	mu    sync.Mutex
	ended []endedCall
	kept  int64       // bytes that the changes of ended keep, and their errors before they are cut
	spare []endedCall // room for as many again
}

// endedCall is a call that has ended.
type endedCall struct {
	log      *Log
	key      kube.Key
	cause    Cause
	handling statusz.Handling // without what the cause says
}

// add adds a copy of a call, and reports whether it is time to read.
func (in *inbox) add(c *endedCall) (full bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = append(in.ended, *c)
	in.kept += c.cause.kept() + int64(len(c.handling.Error))
	return len(in.ended) >= maxEnded || in.kept > in.maxKept
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
