package page

import (
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// look is how a state or a result is shown: a word, a shape, and a color, any of which says it
// alone.
type look struct {
	// Word is what it is called, and Class its color: ok, bad, wait, busy or idle.
	Word, Class string
	// Icon is the shape.
	Icon string
	// Means explains the word.
	Means string
}

// looks are those of the states.
var looks = map[status.State]look{
	status.Waiting:       {Class: "wait", Icon: "wait", Means: "the API server does not serve the kind yet"},
	status.Syncing:       {Class: "busy", Icon: "sync", Means: "the first list is under way"},
	status.Running:       {Class: "ok", Icon: "ok", Means: "the cache follows the API server"},
	status.ReloadPending: {Class: "wait", Icon: "sync", Means: "the definition as it was before works on, as the changed one cannot take over yet"},
	status.PruneHeld:     {Class: "bad", Icon: "held", Means: "no children are deleted until somebody says so, as too many would go at once"},
	status.Degraded:      {Class: "bad", Icon: "bad", Means: "something keeps the definition from its work"},
	status.Paused:        {Class: "idle", Icon: "paused", Means: "the config says paused: true"},
}

// results are those of the results of calls.
var results = map[string]look{
	"done":      {Class: "ok", Icon: "ok", Means: "nothing is left to do"},
	"requeue":   {Class: "busy", Icon: "sync", Means: "it asked to be called again"},
	"retry":     {Class: "wait", Icon: "wait", Means: "it failed, and is tried again"},
	"exhausted": {Class: "bad", Icon: "bad", Means: "it failed, and is out of retries until the object changes"},
	"terminal":  {Class: "bad", Icon: "bad", Means: "it failed, and is not tried again before the object changes"},
	"panic":     {Class: "bad", Icon: "bad", Means: "it panicked, and is tried again"},
	"cancelled": {Class: "idle", Icon: "paused", Means: "it was broken off, because its time or the leadership was over"},
}

// causes explain why a handler was called.
var causes = map[string]string{
	"change":  "the object changed",
	"retry":   "the call before failed",
	"requeue": "the call before asked for it",
	"resync":  "the resync period",
	"initial": "it was there when the work began",
}

// lookOf is how something is shown by its name; what is not in the table has a color of its own.
func lookOf[K ~string](table map[K]look, name K, otherwise string) look {
	l, ok := table[name]
	if !ok {
		l = look{Class: otherwise, Icon: "wait"}
	}
	l.Word = clean(string(name))
	return l
}

func stateOf(s status.State) look { return lookOf(looks, s, "wait") }

func resultOf(result string) look { return lookOf(results, result, "idle") }

// causeText explains why a handler was called, as far as that is known.
func causeText(cause string) string {
	if text, ok := causes[cause]; ok {
		return text
	}
	return clean(cause)
}

// trouble is one kind of objects that need somebody's attention.
type trouble struct {
	// ID is its anchor, Title its heading, and Short what it is called beside a number.
	ID, Title, Short string
	// Class is its color, and Icon its shape.
	Class, Icon string
	// Means explains it.
	Means string
	of    func(statusz.Objects) statusz.ObjectList
}

// troubles are all kinds, the worst first.
var troubles = []trouble{
	{
		"failing", "Failing", "failing", "bad", "bad", "Their last call failed. What was given up is not retried before it changes; the others are, later and later.",
		func(o statusz.Objects) statusz.ObjectList { return o.Failing },
	},
	{
		"not-ready", "Not ready", "not ready", "wait", "wait", "Parents whose children are not all ready, and what blocks them.",
		func(o statusz.Objects) statusz.ObjectList { return o.NotReady },
	},
	{
		"fights", "Fights", "fought over", "bad", "fight", "Children that another writer sets back again and again.",
		func(o statusz.Objects) statusz.ObjectList { return o.Fights },
	},
	{
		"held", "Held", "held", "busy", "held", "Left as it is for now: paused, held by a rollout or by the brake, or a deleted child that a finalizer keeps.",
		func(o statusz.Objects) statusz.ObjectList { return o.Held },
	},
	{
		"refused", "Refused", "refused", "wait", "refused", "Children that kooperd may not touch, since they are somebody else's.",
		func(o statusz.Objects) statusz.ObjectList { return o.Refused },
	},
}
