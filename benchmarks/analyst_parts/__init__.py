"""The parts of `benchmarks/analyst.py`: questions with known answers, how they are asked, how answers are judged."""
