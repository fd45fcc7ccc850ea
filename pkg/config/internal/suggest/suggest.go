package suggest

import (
	"fmt"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// Closest returns the candidate that name is most probably meant to be, or "".
func Closest(name string, candidates []string) string {
	if len(name) > diagnostic.MaxQuoted {
		return ""
	}
	best, bestDistance := "", max(1, len([]rune(name))/3)+1
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		// A name that only spells another one differently has the distance 0.
		if d := distance(Fold(name), Fold(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// Fold removes what spellings differ in: max_retries, max-retries and MaxRetries are maxRetries.
func Fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// distance is the number of letters to insert, remove, replace or swap with a neighbour to get from
// a to b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}

// DidYouMean returns the hint for a name that is close to a candidate, or "".
func DidYouMean(name string, candidates []string) string {
	if c := Closest(name, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}
