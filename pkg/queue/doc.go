// Package queue is the keyed work queue between a source of events and the workers of one
// controller. A key stands in it at most once and is never handed to two workers at a time. Adds
// for a key coalesce, failed calls come back with exponential backoff, urgent work goes first, and
// old work ages, so nothing starves. Resyncer spreads the periodic handling of every key evenly
// over its period.
//
// It knows neither Kubernetes nor handlers. It holds keys only, and of those only the ones that
// wait, are delayed or are being processed.
//
// A worker is a loop in which each item ends with exactly one of Done, Requeue, Retry and Postpone:
//
//	for {
//		item, ok := q.Get(ctx)
//		if !ok {
//			return
//		}
//		if err := work(ctx, item.Key); err != nil {
//			q.Retry(item.Key)
//			continue
//		}
//		q.Done(item.Key)
//	}
package queue
