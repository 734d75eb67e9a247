//! The equations of a Gauss–Newton step.

/// Unknowns of a step: shift (0, 1), matrix (2, 3), brightness (4).
pub(super) const UNKNOWNS: usize = 5;

/// Weighted sums of the products of the unknowns' derivatives, upper triangle row by row, and after
/// them of each derivative with the difference.
pub(super) const SUMS: usize = UNKNOWNS * (UNKNOWNS + 1) / 2 + UNKNOWNS;

/// Least share of its starting value that a pivot may fall to: below, two equations say the same thing.
const LEAST_PIVOT: f64 = 1e-9;

/// `matrix` x = `right`, symmetric.
pub(super) struct Equations {
    matrix: [[f64; UNKNOWNS]; UNKNOWNS],
    right: [f64; UNKNOWNS],
}

impl Equations {
    pub(super) fn new(sums: &[f64; SUMS]) -> Self {
        let (products, right) = sums.split_at(SUMS - UNKNOWNS);
        let at = |row: usize, column: usize| {
            let (row, column) = (row.min(column), row.max(column));
            products[row * UNKNOWNS - row * (row + 1) / 2 + column]
        };
        Self {
            matrix: std::array::from_fn(|row| std::array::from_fn(|column| at(row, column))),
            right: std::array::from_fn(|index| -right[index]),
        }
    }

    /// Leaves the matrix of the motion as it is. Its derivatives are 0 then.
    pub(super) fn fix_matrix(&mut self) {
        (self.matrix[2][2], self.matrix[3][3]) = (1.0, 1.0);
    }

    /// The standard error of the shift along its least certain direction, from the curvature there
    /// and the differences' standard deviation `sigma`.
    pub(super) fn shift_error(&self, sigma: f64) -> f64 {
        let weight = self.matrix[4][4];
        if weight <= 0.0 {
            return f64::INFINITY;
        }
        // The brightness is unknown as well.
        let reduced = |i: usize, j: usize| self.matrix[i][j] - self.matrix[i][4] * self.matrix[j][4] / weight;
        let (a, b, c) = (reduced(0, 0), reduced(0, 1), reduced(1, 1));
        let smallest = (a + c) / 2.0 - ((a - c) / 2.0).hypot(b);
        // What rounding leaves of a wall or of straight stripes is no curvature.
        if smallest > LEAST_PIVOT * (a + c) { sigma / smallest.sqrt() } else { f64::INFINITY }
    }

    /// By Gauss elimination; `None` if the matrix is not positive definite.
    pub(super) fn solve(&self) -> Option<[f64; UNKNOWNS]> {
        let (mut matrix, mut right) = (self.matrix, self.right);
        for pivot in 0..UNKNOWNS {
            let (above, below) = matrix.split_at_mut(pivot + 1);
            let from = &above[pivot];
            // Not a number is no pivot.
            if from[pivot].is_nan() || from[pivot] <= LEAST_PIVOT * self.matrix[pivot][pivot] {
                return None;
            }
            let known = right[pivot];
            for (row, right) in below.iter_mut().zip(&mut right[pivot + 1..]) {
                let factor = row[pivot] / from[pivot];
                row.iter_mut().zip(from).for_each(|(value, from)| *value -= factor * from);
                *right -= factor * known;
            }
        }
        for row in (0..UNKNOWNS).rev() {
            let known: f64 = matrix[row].iter().zip(&right).skip(row + 1).map(|(factor, value)| factor * value).sum();
            right[row] = (right[row] - known) / matrix[row][row];
        }
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::{Equations, SUMS, UNKNOWNS};

    /// Sums over rows of derivatives whose differences a step makes 0.
    fn sums(rows: &[[f64; UNKNOWNS]], step: [f64; UNKNOWNS]) -> [f64; SUMS] {
        let mut sums = [0.0; SUMS];
        for row in rows {
            let difference: f64 = -row.iter().zip(step).map(|(a, b)| a * b).sum::<f64>();
            let mut at = 0;
            for first in 0..UNKNOWNS {
                for second in first..UNKNOWNS {
                    sums[at] += row[first] * row[second];
                    at += 1;
                }
                sums[SUMS - UNKNOWNS + first] += row[first] * difference;
            }
        }
        sums
    }

    #[test]
    fn the_step_that_made_the_differences_is_found() {
        let rows: Vec<[f64; UNKNOWNS]> = (0..9)
            .map(|k| std::array::from_fn(|i| if i == 4 { 1.0 } else { f64::from((k * (3 * i as i32 + 2)) % 7) - 3.0 }))
            .collect();
        let step = [0.5, -1.0, 2.0, 0.25, -3.0];
        let found = Equations::new(&sums(&rows, step)).solve().expect("solved");
        assert!(found.iter().zip(step).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn what_says_nothing_about_a_direction_is_noticed() {
        // Stripes: no change along one direction.
        let rows: Vec<[f64; UNKNOWNS]> =
            (0..9).map(|k| [f64::from(k % 4), f64::from(2 * (k % 4)), 0.0, 0.0, 1.0]).collect();
        let mut equations = Equations::new(&sums(&rows, [0.0; UNKNOWNS]));
        equations.fix_matrix();
        assert!(equations.shift_error(1.0).is_infinite());
        assert!(equations.solve().is_none());
        // Independent derivatives of variance 1, n of them: the error is sigma / sqrt(n).
        let rows: Vec<[f64; UNKNOWNS]> =
            (0..400).map(|k| [f64::from(k % 2 * 2 - 1), f64::from(k / 2 % 2 * 2 - 1), 0.0, 0.0, 1.0]).collect();
        let error = Equations::new(&sums(&rows, [0.0; UNKNOWNS])).shift_error(3.0);
        assert!((error - 3.0 / 20.0).abs() < 1e-9, "{error}");
    }
}
