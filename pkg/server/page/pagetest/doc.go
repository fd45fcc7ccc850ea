// Package pagetest has reporters for tests of what shows reports: one with everything that a report
// can say, replicas that do not lead, and one of a large cluster. It is for tests alone.
//
//	handler := page.New(pagetest.Everything(), logger)
package pagetest
