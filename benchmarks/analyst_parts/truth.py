"""The true answers, by plain pandas: `python truth.py FOLDER BANKS` prints question id and answer as JSON.

Run by the interpreter's own Python, as it needs pandas and openpyxl; the files are loaded as their README describes
them. Nothing of this ever reaches a model. tests/unit/scripts/test_bench_analyst.py compares it with questions.toml.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

Answer = tuple[Any, ...]


def main(folder: Path, banks: Path) -> None:
    """Print all answers."""
    tables = (
        _banks(pd.read_csv(banks)),
        _penguins(pd.read_csv(folder / "penguins.csv", sep=";", decimal=",", encoding="cp1252")),
        _countries(pd.read_csv(folder / "countries.csv")),
        _firms(pd.read_csv(folder / "investment.txt", sep="\t", encoding="utf-16")),
        _economy(pd.read_excel(folder / "us_economy.xlsx", header=3)),
        _crime(pd.read_csv(folder / "state_crime.csv")),
        _planes(pd.read_csv(folder / "planes.csv")),
        _fertility(pd.read_csv(folder / "fertility.csv")),
        _air(pd.read_csv(folder / "co2.csv")),
    )
    answers = {id_: answer for table in tables for id_, answer in table}
    print(json.dumps(answers, default=lambda value: value.item()))


def _top(values: pd.Series) -> Answer:
    return str(values.idxmax()), values.max()


def _banks(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    df.columns = df.columns.str.strip()
    closed = pd.to_datetime(df["Closing Date"], format="%d-%b-%y")
    last = df.loc[closed.idxmax()]
    yield "banks-1", _top(df["State"].value_counts())
    yield "banks-2", ((closed.dt.year == 2010).sum(),)
    yield "banks-3", (last["Bank Name"], last["City"])
    yield "banks-4", (((df["State"] == "CA") & (closed.dt.year == 2009)).sum(),)
    yield "banks-5", _top(closed.dt.month_name().value_counts())
    yield "banks-6", (df["State"].nunique(),)


def _penguins(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    laid = pd.to_datetime(df["Date Egg"], format="%d.%m.%Y")
    adelie = df["Species"].str.startswith("Adelie")
    yield "penguins-1", (df["Body Mass (g)"].mean(),)
    yield "penguins-2", ((df["Island"] == "Dream").sum(),)
    yield "penguins-3", _top(df.groupby("Species")["Flipper Length (mm)"].mean())
    yield "penguins-4", (((laid.dt.year == 2008) & (laid.dt.month == 11)).sum(),)
    yield "penguins-5", (df.loc[adelie, "Culmen Length (mm)"].max(),)
    yield "penguins-6", (df["Sex"].isna().sum(),)


def _countries(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    df["Population"] = df["Population"].str.replace(",", "").astype(int)
    df["GDP per Capita"] = df["GDP per Capita"].str.replace("[$,]", "", regex=True).astype(float)
    last, first = df[df["Year"] == 2007], df[df["Year"] == 1952]
    years = df[df["Country"] == "China"].set_index("Year")["Life Expectancy"]
    europe = df[df["Continent"] == "Europe"]
    africa = last[last["Continent"] == "Africa"]
    yield "countries-1", _top(last.set_index("Country")["Life Expectancy"])
    yield "countries-2", (last.loc[last["Continent"] == "Asia", "Population"].sum(),)
    yield "countries-3", _top(first.set_index("Country")["GDP per Capita"])
    yield "countries-4", (africa["Life Expectancy"].mean(),)
    yield "countries-5", (europe["Country"].nunique(),)
    yield "countries-6", (years[2007] - years[1952],)


def _firms(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    ibm = (df["firm"] == "IBM") & (df["year"] == 1954)
    yield "firms-1", (df["firm"].nunique(),)
    yield "firms-2", _top(df.groupby("firm")["invest"].sum())
    yield "firms-3", (df.groupby("year")["invest"].sum().idxmax(),)
    yield "firms-4", (df.loc[ibm, "value"].item(),)
    yield "firms-5", (df.loc[df["firm"] == "General Electric", "invest"].mean(),)
    yield "firms-6", (df["value"].corr(df["invest"]),)


def _economy(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    df = df[pd.to_numeric(df["Year"], errors="coerce").notna()]
    df = df.apply(pd.to_numeric)
    worst = df.loc[df["Unemployment (%)"].idxmax()]
    gdp = df.set_index(["Year", "Quarter"])["Real GDP"]
    seventies = df["Year"].between(1970, 1979)
    yield "economy-1", (worst["Unemployment (%)"], int(worst["Year"]))
    yield "economy-2", (df.loc[seventies, "Inflation (%)"].mean(),)
    yield "economy-3", (gdp[2008, 4],)
    yield "economy-4", (int(df.groupby("Year")["T-bill rate (%)"].mean().idxmax()),)
    yield "economy-5", ((df["Inflation (%)"] < 0).sum(),)
    yield "economy-6", (100 * (gdp[2009, 1] / gdp[1999, 1] - 1),)


def _crime(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    states = df.set_index("state")
    yield "crime-1", _top(states["murder"])
    yield "crime-2", ((df["violent"] > 500).sum(),)
    yield "crime-3", (df["poverty"].corr(df["murder"]),)
    yield "crime-4", (str(states["hs_grad"].idxmin()), states["hs_grad"].min())
    yield "crime-5", (df["violent"].median(),)
    yield "crime-6", (df.loc[df["urban"] > 80, "poverty"].mean(),)


def _planes(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    airbus = df["manufacturer"] == "AIRBUS INDUSTRIE"
    biggest = df.loc[df["seats"].idxmax()]
    yield "planes-1", _top(df["manufacturer"].value_counts())
    yield "planes-2", (int(df["year"].min()),)
    yield "planes-3", ((df["engines"] == 4).sum(),)
    yield "planes-4", (df.loc[airbus, "seats"].mean(),)
    yield "planes-5", (df["year"].isna().sum(),)
    yield "planes-6", (biggest["model"], biggest["seats"])


def _fertility(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    countries = df.set_index("Country Name")
    years = [name for name in df.columns if name.isdigit()]
    yield "fertility-1", _top(countries["2010"])
    yield "fertility-2", (countries.loc["Germany", "1990"],)
    yield "fertility-3", ((countries["2010"] < 2).sum(),)
    yield "fertility-4", (countries.loc["India", "1960"] - countries.loc["India", "2010"],)
    yield "fertility-5", (int(countries.loc["Japan", years].astype(float).idxmin()),)
    yield "fertility-6", (countries["1960"].isna().sum(),)


def _air(df: pd.DataFrame) -> Iterator[tuple[str, Answer]]:
    day = pd.to_datetime(df["date"].astype(str), format="%Y%m%d")
    years = df.groupby(day.dt.year)["co2"].mean()
    yield "air-1", (df["co2"].max(), int(day[df["co2"].idxmax()].year))
    yield "air-2", (df["co2"].isna().sum(),)
    yield "air-3", (years[1990],)
    yield "air-4", (str(df.groupby(day.dt.month_name())["co2"].mean().idxmax()),)
    yield "air-5", (years[2000] - years[1970],)
    yield "air-6", ((df["co2"] > 370).sum(),)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
