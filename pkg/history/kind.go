package history

// SetKind says of what kind the objects of the definition are from now on. If they were of another
// one before, everything is forgotten: names alone tell them apart.
func (l *Log) SetKind(kind string) {
	if l == nil {
		return
	}
	l.history.mu.Lock()
	defer l.history.mu.Unlock()
	other := l.kind != "" && l.kind != kind
	if l.kind = kind; !other {
		return
	}
	for _, e := range l.objects {
		l.history.drop(e)
	}
	l.forgetPending()
}
